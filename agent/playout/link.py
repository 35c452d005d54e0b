"""One connection to one server, carrying one RTMP session."""

import asyncio
import errno
import fcntl
import os
import re
import socket
import ssl
import struct
import termios
from collections.abc import Callable
from typing import Any, Final, cast

from .rtmp import NONCE_SIZE, Phase, RtmpError, Session, Temporary
from .target import Target, is_public

CONNECT_LIMIT_S: Final = 10.0
ANSWER_LIMIT_S: Final = 10.0
SEND_BUFFER: Final = 1 << 20  # left to itself the kernel hides ten seconds of lag
_SO_SNDBUFFORCE: Final = 32
_FLUSH_POLL_S: Final = 0.01


class Misconfigured(RtmpError):
    """No attempt will succeed until somebody changes something at the server or in the settings."""


class Closed(Temporary):
    """The server closed the connection; `phase` is how far the session was."""

    def __init__(self, text: str, phase: Phase) -> None:
        super().__init__(text)
        self.phase = phase


class Link(asyncio.Protocol):
    """`over` gets the reason why the connection ended; `published` is set when the server takes media."""

    def __init__(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        self.session = Session(target, os.urandom(NONCE_SIZE))
        self.over: asyncio.Future[RtmpError] = loop.create_future()
        self.published = asyncio.Event()
        self.sent = 0
        self._acked = 0
        self._transport: asyncio.Transport | None = None
        self._fileno = -1

    def measure(self) -> tuple[int, int]:
        """(bytes written that the server's kernel has not acknowledged, bytes it has), the latter never going
        back.

        The first counts our buffer and the kernel's; under TLS both are right to within its overhead.
        """
        if self._transport is None or self._fileno < 0 or self.over.done():
            return 0, self._acked
        held = bytearray(4)
        fcntl.ioctl(self._fileno, termios.TIOCOUTQ, held)
        queued = int(struct.unpack("i", held)[0]) + self._transport.get_write_buffer_size()
        self._acked = max(self._acked, self.sent - queued)
        return queued, self._acked

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.over.done():
            self.sent += len(data)
            self._transport.write(data)

    def abort(self, reason: RtmpError) -> None:
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    async def leave(self, limit_s: float) -> None:
        """Unpublish, close; what is not through after `limit_s` is cut off."""
        try:
            async with asyncio.timeout(limit_s):
                self.write(self.session.farewell())
                while self.measure()[0] and not self.over.done():  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(_FLUSH_POLL_S)
                self._close()
                await asyncio.wait({self.over})
        except TimeoutError:
            self.abort(Temporary("closed"))

    def _close(self) -> None:
        """Only our half where that goes: a server that still talks to a closed one gets a reset, and a reset
        makes it forget what it has not read yet.
        """
        if self._transport is None:
            return
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    @property
    def peer(self) -> str:
        """The server's address; empty when it was gone at once."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        sock = cast(socket.socket, transport.get_extra_info("socket"))
        self._fileno = sock.fileno()
        _tune(sock)
        self.write(self.session.take_output())

    def data_received(self, data: bytes) -> None:
        if self.over.done():
            return
        try:
            self.session.receive(data)
        except RtmpError as error:
            self.abort(error)
            return
        if output := self.session.take_output():
            self.write(output)
        if self.session.phase is Phase.PUBLISHED:
            self.published.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fileno = -1
        self._end(Closed(self._lost(exc), self.session.phase))

    def _lost(self, exc: Exception | None) -> str:
        how = "reset" if isinstance(exc, ConnectionResetError) else "closed"
        during = {
            Phase.HANDSHAKE: " during the handshake",
            Phase.CONNECT: " on «connect»: is the application right?",
            Phase.CREATE: " on «createStream»",
            Phase.PUBLISH: " when it was given the stream key",
        }
        return f"the server {how} the connection{during.get(self.session.phase, '')}"

    def _end(self, reason: RtmpError) -> None:
        if not self.over.done():
            self.over.set_result(reason)


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """The system's certificates and those in `ca_file`. Raises Misconfigured when it cannot be read."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise Misconfigured("the certificates in the plan's «ca_file» cannot be read") from error
    return context


async def open_link(target: Target, tls: Callable[[], ssl.SSLContext], *, reach_private: bool) -> Link:
    """A link whose session is published. The name is looked up anew, all its addresses are tried.

    Unless `reach_private`, a name that leads to loopback or into a private network is refused.
    Raises RtmpError. Ends within CONNECT_LIMIT_S + ANSWER_LIMIT_S.
    """
    link = await _connect(target, tls, reach_private)
    published = asyncio.ensure_future(link.published.wait())
    try:
        either: set[asyncio.Future[Any]] = {published, link.over}
        await asyncio.wait(either, timeout=ANSWER_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        if link.over.done():
            raise link.over.result()
        if not published.done():
            raise Temporary(_silence(link.session.phase))
    except (RtmpError, asyncio.CancelledError):
        link.abort(Temporary("given up"))
        raise
    finally:
        published.cancel()
    return link


async def _connect(target: Target, tls: Callable[[], ssl.SSLContext], reach_private: bool) -> Link:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            if not reach_private:
                found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
                _refuse_private(target, [str(entry[4][0]) for entry in found])
            _, link = await loop.create_connection(
                lambda: Link(target),
                target.host,
                target.port,
                ssl=tls() if target.tls else None,
                happy_eyeballs_delay=0.25,
            )
    except TimeoutError as error:
        raise Temporary(f"no answer from {target.address} within {CONNECT_LIMIT_S:.0f} s") from error
    except ssl.SSLCertVerificationError as error:
        said = error.verify_message
        raise Misconfigured(f"the certificate of «{target.host}» is not valid: {said}") from error
    except ssl.SSLError as error:
        raise Temporary(f"{target.address} does not speak TLS as expected ({error.reason})") from error
    except socket.gaierror as error:
        raise Temporary(f"the name «{target.host}» cannot be resolved") from error
    except (OSError, UnicodeError) as error:
        raise Temporary(f"{target.address} cannot be reached: {_cause(error)}") from error
    if not reach_private:
        _check_peer(target, link)
    return link


def _refuse_private(target: Target, addresses: list[str]) -> None:
    if not all(map(is_public, addresses)):
        raise Misconfigured(f"«{target.host}» leads inside a private network")


def _check_peer(target: Target, link: Link) -> None:
    """The name may have answered otherwise the second time."""
    try:
        _refuse_private(target, [link.peer])
    except Misconfigured as error:
        link.abort(error)
        raise


def _silence(phase: Phase) -> str:
    if phase is Phase.HANDSHAKE:
        return f"the server accepts the connection and says nothing for {ANSWER_LIMIT_S:.0f} s"
    return f"the server did not answer «{phase.name.lower()}» within {ANSWER_LIMIT_S:.0f} s"


def _cause(error: Exception) -> str:
    """The error in plain words; of several addresses tried asyncio keeps the errors only as text."""
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    if errno.ECONNREFUSED in numbers:
        return "connection refused"
    return ", ".join(sorted(os.strerror(number).lower() for number in numbers)) or type(error).__name__


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER)
    except PermissionError:
        # Asking politely would be cut to net.core.wmem_max, too little for a far server; `queued` tells the
        # lag anyway.
        return
