"""Orders for what is on air, each answered with what has really come of it."""

import asyncio
from collections.abc import Callable
from typing import Final

from .orders import OrderError
from .plan import Item
from .programme import Programme

STEERINGS: Final = ("next", "previous", "jump", "play_next", "pause", "resume")
ANSWER_S: Final = 0.7
"""So long an order waits for what comes of it."""


def carry_out(programme: Programme, order: str, item_id: int | None) -> None:
    """Raises OrderError."""
    match order:
        case "next":
            programme.next()
        case "previous":
            programme.previous()
        case "jump":
            programme.jump(_ready(_known(programme, item_id)))
        case "play_next":
            programme.playlist.play_next(_known(programme, item_id))
        case "pause" if not programme.paused:
            programme.pause()
        case "resume" if programme.paused:
            programme.resume()
        case "pause":
            raise OrderError("it is paused already")
        case "resume":
            raise OrderError("it is not paused")
        case _:
            raise OrderError("unknown order")


def _known(programme: Programme, item_id: int | None) -> Item:
    item = None if item_id is None else programme.playlist.find(item_id)
    if item is None:
        raise OrderError("there is no such item in the list")
    if reason := programme.failures.reason(item):
        raise OrderError(reason)
    return item


def _ready(item: Item) -> Item:
    if not item.playable:
        raise OrderError("the item is not ready yet")
    return item


class Ticks:
    """Lets others wait for what the playout's next turns bring about."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    def passed(self) -> None:
        for told, condition in self._waiting.items():
            if not told.done() and condition():
                told.set_result(None)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Looks after each tick, for at most ANSWER_S."""
        if condition():
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[told] = condition
        try:
            async with asyncio.timeout(ANSWER_S):
                await told
        except TimeoutError:
            return
        finally:
            del self._waiting[told]
