"""From a target to a session that is published: the name looked up, addresses tried, certificates checked, redirects
followed.
"""

import asyncio
import errno
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from .link import Link, Misconfigured
from .rtmp import Phase, Redirected, RtmpError, Temporary
from .target import Target, TargetError, is_public, parse_target

MAX_REDIRECTS: Final = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds for the connection with its TLS, and from there to the answer to «publish»."""

    connect_s: float = 10.0
    answer_s: float = 10.0


PATIENT: Final = Limits()


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """The system's certificates and those in `ca_file`. Raises Misconfigured when it cannot be read."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise Misconfigured("the certificates in the plan's «ca_file» cannot be read") from error
    return context


async def open_link(
    target: Target, tls: Callable[[], ssl.SSLContext], *, reach_private: bool, limits: Limits = PATIENT
) -> Link:
    """A link whose session is published. The name is looked up anew, all its addresses are tried.

    Unless `reach_private`, a name that leads to loopback or into a private network is refused.
    Raises RtmpError. Each server that is asked gets at most the time in `limits`.
    """
    for _ in range(MAX_REDIRECTS + 1):
        try:
            return await _open(target, tls, reach_private, limits)
        except Redirected as error:
            target = redirected(target, error.url)
    raise Temporary(f"the server sends its publishers elsewhere more than {MAX_REDIRECTS} times in a row")


def redirected(target: Target, url: str) -> Target:
    """Where the server sends us. Raises Misconfigured when that is nowhere to go."""
    try:
        there = parse_target(url, target.key.reveal())
    except TargetError as error:
        raise Misconfigured("the server sends its publishers to what is no RTMP address") from error
    if target.tls and not there.tls:
        raise Misconfigured("the server sends its publishers to a connection without encryption")
    return there


async def _open(target: Target, tls: Callable[[], ssl.SSLContext], reach_private: bool, limits: Limits) -> Link:
    link = await _connect(target, tls, reach_private, limits.connect_s)
    link.greet()
    published = asyncio.ensure_future(link.published.wait())
    try:
        either: set[asyncio.Future[Any]] = {published, link.over}
        await asyncio.wait(either, timeout=limits.answer_s, return_when=asyncio.FIRST_COMPLETED)
        if link.over.done():
            raise link.over.result()
        if not published.done():
            raise Temporary(silence(link.session.phase, limits.answer_s))
    except (RtmpError, asyncio.CancelledError):
        link.abort(Temporary("given up"))
        raise
    finally:
        published.cancel()
    return link


async def _connect(target: Target, tls: Callable[[], ssl.SSLContext], reach_private: bool, limit_s: float) -> Link:
    with in_plain_words(target, limit_s):
        async with asyncio.timeout(limit_s):
            if not reach_private:
                refuse_private(target, await resolve(target))
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: Link(target),
                target.host,
                target.port,
                ssl=tls() if target.tls else None,
                happy_eyeballs_delay=0.25,
            )
    if not reach_private:
        _check_peer(target, link)
    return link


@contextmanager
def in_plain_words(target: Target, limit_s: float) -> Iterator[None]:
    """What can go wrong on the way to a server, as an RtmpError."""
    try:
        yield
    except TimeoutError as error:
        raise Temporary(no_answer(target, limit_s)) from error
    except ssl.SSLCertVerificationError as error:
        raise Misconfigured(bad_certificate(target, error.verify_message)) from error
    except ssl.SSLError as error:
        raise Temporary(no_tls(target, error.reason)) from error
    except socket.gaierror as error:
        raise Temporary(no_such_name(target)) from error
    except (OSError, UnicodeError) as error:
        raise Temporary(f"{target.address} cannot be reached: {_cause(error)}") from error


async def resolve(target: Target) -> list[str]:
    """The addresses, the likeliest first. Raises OSError or UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def refuse_private(target: Target, addresses: list[str]) -> None:
    """Raises Misconfigured."""
    if not all(map(is_public, addresses)):
        raise Misconfigured(f"«{target.host}» leads inside a private network")


def _check_peer(target: Target, link: Link) -> None:
    """The name may have answered otherwise the second time."""
    try:
        refuse_private(target, [link.peer])
    except Misconfigured as error:
        link.abort(error)
        raise


def silence(phase: Phase, seconds: float) -> str:
    """What to say of a server that takes the connection and goes no further."""
    if phase is Phase.HANDSHAKE:
        return f"the server accepts the connection and says nothing for {seconds:.0f} s"
    return f"the server did not answer «{phase.name.lower()}» within {seconds:.0f} s"


def no_answer(target: Target, seconds: float) -> str:
    return f"no answer from {target.address} within {seconds:.0f} s"


def no_such_name(target: Target) -> str:
    return f"the name «{target.host}» cannot be resolved"


def bad_certificate(target: Target, why: str) -> str:
    return f"the certificate of «{target.host}» is not valid: {why}"


def no_tls(target: Target, why: str) -> str:
    return f"{target.address} does not speak TLS as expected ({why})"


def _cause(error: Exception) -> str:
    """The error in plain words; of several addresses tried asyncio keeps the errors only as text."""
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    if errno.ECONNREFUSED in numbers:
        return "connection refused"
    return ", ".join(sorted(os.strerror(number).lower() for number in numbers)) or type(error).__name__
