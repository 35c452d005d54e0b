"""Operators' questions: each is looked into beside everything else, with a limit of time and of number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.actions import Inquire
from agent.events import Event, Inquired
from agent.protocol import ProcessFacts

MOST: Final = 3
WITHIN_SECONDS: Final = 8.0
log = logging.getLogger("agent.inquiries")


@dataclass(frozen=True, slots=True)
class Found:
    ok: bool
    message: str
    processes: tuple[ProcessFacts, ...] = ()
    lines: tuple[str, ...] = ()


Look = Callable[[Inquire], Awaitable[Found]]
BUSY: Final = Found(False, "this server is busy with other questions: ask again in a moment")
TOO_LONG: Final = Found(False, "it could not be found out in time")
BROKEN: Final = Found(False, "the question broke: this is a fault of the agent, its log says more")


class Inquiries:
    """Each `begin` ends in Inquired. `looks`: how each question is answered, by its name."""

    def __init__(
        self, looks: Mapping[str, Look], post: Callable[[Event], None], within_s: float = WITHIN_SECONDS
    ) -> None:
        self._looks = looks
        self._post = post
        self._within_s = within_s
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, asked: Inquire) -> None:
        if len(self._tasks) >= MOST:
            self._tell(asked, BUSY)
            return
        task = asyncio.create_task(self._answer(asked), name=asked.query_id)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, asked: Inquire) -> None:
        try:
            async with asyncio.timeout(self._within_s):
                found = await self._looks[asked.what](asked)
        except TimeoutError:
            found = TOO_LONG
        self._tell(asked, found)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug is the end of one question."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a question broke", exc_info=error, extra={"error_type": type(error).__name__})
            self._post(Inquired(task.get_name(), BROKEN.ok, BROKEN.message))

    def _tell(self, asked: Inquire, found: Found) -> None:
        self._post(Inquired(asked.query_id, found.ok, found.message, found.processes, found.lines))
