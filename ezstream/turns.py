"""How many requests are worked on at once in a web process; the others wait for their turn.

Each request that is worked on has a database connection of its own, and a database takes so many and no more: without
this, two hundred people who press a button in one second are two hundred connections, and some of them get an error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Message = Any
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


def in_turns(app: App, most: int) -> App:
    """`app`, an ASGI application for HTTP: at most `most` requests at once. One whose answer has begun does not count:
    its work is done, and who takes the bytes may be slow."""
    room = asyncio.Semaphore(most)

    async def take_turn(scope: Any, receive: Receive, send: Send) -> None:
        await room.acquire()
        turn = _Turn(room)

        async def answer(message: Message) -> None:
            turn.over()
            await send(message)

        try:
            await app(scope, receive, answer)
        finally:
            turn.over()

    return take_turn


class _Turn:
    def __init__(self, room: asyncio.Semaphore) -> None:
        self._room: asyncio.Semaphore | None = room

    def over(self) -> None:
        """Once, however often it is said."""
        room, self._room = self._room, None
        if room is not None:
            room.release()
