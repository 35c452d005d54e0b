"""Trying destinations: a real session each, beside everything else, with a limit of time and of number."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from agent.actions import Try
from agent.events import Event, TrialEnded
from agent.playout.plan import VIAS, Destination
from agent.playout.target import Secret
from agent.playout.trial import Trial

MOST: Final = 4
WITHIN_SECONDS: Final = 10.0
BUSY: Final = "this server is busy with other tests: try again in a moment"
log = logging.getLogger("agent.trials")


Attempt = Callable[[Destination], Awaitable[Trial]]


class Trials:
    """Each `begin` ends in TrialEnded. The same test asked for twice is one."""

    def __init__(self, attempt: Attempt, post: Callable[[Event], None], within_s: float = WITHIN_SECONDS) -> None:
        self._attempt = attempt
        self._post = post
        self._within_s = within_s
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, wanted: Try) -> None:
        if wanted.test_id in self._tasks:
            return
        if len(self._tasks) >= MOST:
            self._post(TrialEnded(wanted.test_id, "unreachable", BUSY, 0))
            return
        task = asyncio.create_task(self._run(wanted), name=wanted.test_id)
        self._tasks[wanted.test_id] = task
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, wanted: Try) -> None:
        push = wanted.push
        via = next(each for each in VIAS if each == push.via)
        place = Destination(push.id, push.name, push.url, Secret(push.key), True, via)
        try:
            async with asyncio.timeout(self._within_s):
                outcome = await self._attempt(place)
        except TimeoutError:
            took_ms = round(self._within_s * 1000)
            self._post(TrialEnded(wanted.test_id, "unreachable", "it did not answer in time", took_ms))
            return
        message = place.key.hide_in(outcome.message)
        self._post(TrialEnded(wanted.test_id, outcome.state, message, outcome.took_ms))

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug is the end of one test."""
        del self._tasks[task.get_name()]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("a test broke", exc_info=error, extra={"error_type": type(error).__name__})
            self._post(TrialEnded(task.get_name(), "failed", "the test broke: this is a fault of the server", 0))
