"""The way to a server up to the first word of SSH: name, route, port, banner; each has its own error."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.translation import gettext as _

from fleet.provision.errors import NoRoute, Refused, Silent, SshError

_USER_TIMEOUT_MS: Final = 30_000
"""TCP_USER_TIMEOUT: a link that was cut without a word is noticed, not after the kernel's quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where, as whom. `host_key`: the pinned one. `trust_first`: without one, the first that is shown is taken."""

    host: str
    port: int = 22
    user: str = "root"
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    host_key: str = ""
    trust_first: bool = False
    by_key_only: bool = False
    """Sign in by the key or not at all; a password is for sudo then."""

    @property
    def address(self) -> str:
        """Also for an IPv6 address in brackets, as people paste it."""
        return self.host.strip().removeprefix("[").removesuffix("]")

    @property
    def known_as(self) -> str:
        """How paramiko looks a host key up."""
        return self.address if self.port == 22 else f"[{self.address}]:{self.port}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `total_s` bounds connecting as a whole."""

    connect_s: float = 30.0
    banner_s: float = 30.0
    auth_s: float = 30.0
    command_s: float = 30.0
    total_s: float = 100.0

    def until(self) -> float:
        return time.monotonic() + self.total_s


LIMITS: Final = Limits()


def dial(target: Target, limits: Limits, until: float) -> socket.socket:
    """A connection on which somebody began to speak SSH. Raises `NoRoute`, `Refused`, `Silent`."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(_connect(target, min(until, time.monotonic() + limits.connect_s)))
        _listen(sock, min(until, time.monotonic() + limits.banner_s))
        undo.pop_all()
        return sock


def _connect(target: Target, until: float) -> socket.socket:
    """Every address of the name in turn; each may take its share of the time."""
    found = _addresses(target, until)
    problems: list[OSError] = []
    for number, (family, address) in enumerate(found):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(max(0.1, (until - time.monotonic()) / (len(found) - number)))
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            problems.append(error)
            continue
        _harden(sock)
        return sock
    raise _problem(target, problems)


def _addresses(target: Target, until: float) -> list[tuple[socket.AddressFamily, Any]]:
    """The system's look-up knows no limit: it is done in a thread that is not waited for."""
    found: list[Any] = []
    failed: list[OSError | UnicodeError] = []

    def look() -> None:
        try:
            found.extend(socket.getaddrinfo(target.address, target.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failed.append(error)

    thread = threading.Thread(target=look, name="look-up", daemon=True)
    thread.start()
    thread.join(max(0.1, until - time.monotonic()))
    if failed:
        raise NoRoute(_("There is no host named «%(host)s».") % {"host": target.host}) from failed[0]
    if not found:
        raise NoRoute(_("No name server says where «%(host)s» is.") % {"host": target.host})
    return [(each[0], each[4]) for each in found]


def _harden(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _problem(target: Target, problems: list[OSError]) -> SshError:
    words = {"host": target.host, "port": target.port}
    if any(isinstance(each, ConnectionRefusedError) for each in problems):
        return Refused(_("«%(host)s» is there, but nothing listens on port %(port)d.") % words)
    if any(each.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH) for each in problems):
        return NoRoute(_("No network leads to «%(host)s».") % words)
    if all(isinstance(each, TimeoutError) for each in problems):
        return NoRoute(_("«%(host)s» does not answer on port %(port)d.") % words)
    why = problems[-1].strerror or str(problems[-1])
    return NoRoute(_("«%(host)s» cannot be reached: %(why)s.") % {**words, "why": why})


def _listen(sock: socket.socket, until: float) -> None:
    """Waits for the first bytes and leaves them where they are."""
    if not select.select([sock], [], [], max(0.1, until - time.monotonic()))[0]:
        raise Silent(_("It takes the connection, and then says nothing."))
    try:
        first = sock.recv(4, socket.MSG_PEEK)
    except OSError:
        first = b""
    if not first:
        raise Refused(_("It ends the connection at once: too many of them, or our address is banned there."))
    if not b"SSH-".startswith(first):
        raise Silent(_("Something answers there, and it is not SSH."))
