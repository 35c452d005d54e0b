"""One connection to one server, carrying one RTMP session."""

import asyncio
import fcntl
import math
import os
import socket
import struct
import termios
from typing import Final, cast

from .rtmp import NONCE_SIZE, Phase, RtmpError, Session, Temporary
from .target import Target

SEND_BUFFER: Final = 1 << 20  # left to itself the kernel hides ten seconds of lag
LEAVE_S: Final = 0.6
_SO_SNDBUFFORCE: Final = 32
_FLUSH_POLL_S: Final = 0.01
_READ_SIZE: Final = 4096  # so little that reading it never holds up the other destinations
_CHATTER: Final = 256 * 1024
_CHATTER_PER_S: Final = 64 * 1024
_UNREAD: Final = 1 << 20
_BRIEF_S: Final = 2.0


class Misconfigured(RtmpError):
    """No attempt will succeed until somebody changes something at the server or in the settings."""


class Closed(Temporary):
    """The server closed the connection; `phase` is how far the session was, `taken_s` how long it took the stream."""

    def __init__(self, phase: Phase, *, reset: bool = False, taken_s: float = _BRIEF_S) -> None:
        during = {
            Phase.HANDSHAKE: " during the handshake",
            Phase.CONNECT: " on «connect»: is the application right?",
            Phase.CREATE: " on «createStream»",
            Phase.PUBLISH: " when it was given the stream key",
        }
        how = "reset" if reset else "closed"
        if phase is Phase.PUBLISHED and taken_s < _BRIEF_S:
            how = f"accepted the stream and at once {how}"
        super().__init__(f"the server {how} the connection{during.get(phase, '')}")
        self.phase = phase


class Link(asyncio.BufferedProtocol):
    """`over` gets the reason why the connection ended; `published` is set when the server takes media."""

    opened = True

    def __init__(self, target: Target) -> None:
        loop = asyncio.get_running_loop()
        self.session = Session(target, os.urandom(NONCE_SIZE))
        self.over: asyncio.Future[RtmpError] = loop.create_future()
        self.published = asyncio.Event()
        self._published_at = math.inf
        self.sent = 0
        self._acked = 0
        self._transport: asyncio.Transport | None = None
        self._fileno = -1
        self._buffer = bytearray(_READ_SIZE)
        self._allowance = float(_CHATTER)
        self._heard_at = loop.time()

    @property
    def acknowledgements(self) -> int:
        return self.session.acknowledgements

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

    def greet(self) -> None:
        """The handshake begins; nothing is said before."""
        self.write(self.session.take_output())

    def abort(self, reason: RtmpError) -> None:
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def silence(self, seconds: float) -> str:
        """What to say of a server that has not moved for so long."""
        return f"the server has taken no data for {seconds:.0f} s"

    async def leave(self) -> None:
        """Unpublish, close; what is not through after LEAVE_S is cut off."""
        try:
            async with asyncio.timeout(LEAVE_S):
                self.write(self.session.farewell())
                while self.measure()[0] and not self.over.done():  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(_FLUSH_POLL_S)
                self._close()
                await asyncio.wait({self.over})
        except TimeoutError:
            self.abort(Temporary("closed"))

    async def retire(self) -> None:
        await self.leave()

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

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.over.done():
            return
        try:
            self._listen(bytes(self._buffer[:nbytes]))
        except RtmpError as error:
            self.abort(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fileno = -1
        taken_s = asyncio.get_running_loop().time() - self._published_at
        self._end(Closed(self.session.phase, reset=isinstance(exc, ConnectionResetError), taken_s=taken_s))

    def _listen(self, data: bytes) -> None:
        self._spend(len(data))
        self.session.receive(data)
        output = self.session.take_output()
        if output and self._transport and self._transport.get_write_buffer_size() < _UNREAD:
            self.write(output)  # who reads nothing needs no answer, and must not make us keep them
        if self.session.phase is Phase.PUBLISHED and not self.published.is_set():
            self._published_at = asyncio.get_running_loop().time()
            self.published.set()

    def _spend(self, count: int) -> None:
        """A server says little: one that talks without end would take the time of the other destinations."""
        now = asyncio.get_running_loop().time()
        self._allowance = min(_CHATTER, self._allowance + (now - self._heard_at) * _CHATTER_PER_S) - count
        self._heard_at = now
        if self._allowance < 0:
            raise Temporary("the server sends far more than a server has a reason to")

    def _end(self, reason: RtmpError) -> None:
        if not self.over.done():
            self.over.set_result(reason)


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER)
    except PermissionError:
        # Asking politely would be cut to net.core.wmem_max, too little for a far server; `queued` tells the
        # lag anyway.
        return
