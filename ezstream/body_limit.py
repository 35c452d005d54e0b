"""Daphne with a limit on request bodies.

Daphne takes a whole body in before it calls the application, and queues it in memory then, so that no limit of
Django's can be in time. This one holds when the headers are read, or for a body that declares no length, when too
much of it came.
"""

from __future__ import annotations

from typing import Any, Final

from daphne import http_protocol
from django.conf import settings
from django.template.defaultfilters import filesizeformat
from twisted.internet import reactor
from twisted.internet.error import AlreadyCalled, AlreadyCancelled

LINGER_S: Final = 5.0
"""How long somebody who is still sending has to read the answer; a connection closed at once would lose it."""


class LimitedRequest(http_protocol.WebRequest):
    """Answers 413 to a body above DATA_UPLOAD_MAX_MEMORY_SIZE; what still comes of it is dropped unread."""

    _room = 0
    _cut: Any = None

    def gotLength(self, length: int | None) -> None:
        self._room = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        is_long = length is not None and length > self._room
        super().gotLength(0 if is_long else length)
        if is_long:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        if self._cut is not None:
            return
        self._room -= len(data)
        if self._room >= 0:
            super().handleContentChunk(data)
        else:
            self.content.truncate(0)
            self._refuse()

    def process(self) -> Any:
        """Called when the whole body came; then a refused request is over."""
        if self._cut is None:
            return super().process()
        return self.finish()

    def connectionLost(self, reason: Any) -> None:
        self._forget_cut()
        super().connectionLost(reason)

    def finish(self) -> None:
        self._forget_cut()
        super().finish()

    def _refuse(self) -> None:
        self.channel.persistent = False
        self._cut = reactor.callLater(LINGER_S, self.channel.forceAbortClient)  # type: ignore[arg-type]
        words = f"The request is larger than {filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)}.\n".encode()
        self.clientproto = b"HTTP/1.1"  # known only when the body is complete
        self.setResponseCode(413)
        self.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        self.setHeader(b"Content-Length", str(len(words)).encode())
        self.setHeader(b"Connection", b"close")
        self.write(words)

    def _forget_cut(self) -> None:
        try:
            if self._cut is not None:
                self._cut.cancel()
        except (AlreadyCalled, AlreadyCancelled):
            return


def install() -> None:
    """Daphne has no setting for the class of its requests; it looks the name up for each connection."""
    http_protocol.WebRequest = LimitedRequest
