"""What carries a stream to its destination: our own connection, or a program that has one."""

import asyncio
from typing import Protocol

from .rtmp import RtmpError


class Carrier(Protocol):
    """A connection that carries the stream to its destination."""

    over: asyncio.Future[RtmpError]
    """Gets the reason why it ended."""

    @property
    def acknowledgements(self) -> int:
        """RTMP's, as many as have come."""

    @property
    def opened(self) -> bool:
        """The server has agreed to take the stream."""

    @property
    def sent(self) -> int: ...

    def measure(self) -> tuple[int, int]:
        """(bytes that wait or are on their way, bytes that have arrived), the latter never going back."""

    def silence(self, seconds: float) -> str:
        """What to say of a server that has not moved for so long."""

    def abort(self, reason: RtmpError) -> None: ...

    async def leave(self) -> None:
        """Unpublish, close, within a time of its own."""

    async def retire(self) -> None:
        """The same, once all that was written has gone out."""
