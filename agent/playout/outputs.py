"""All destinations of the stream: added, removed and changed while it is on air, each without the others noticing."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from .leg import Leg, Surroundings
from .legs import make_leg
from .plan import Destination

log = logging.getLogger(__name__)


class Outputs:
    def __init__(self, around: Surroundings) -> None:
        self.legs: dict[int, Leg] = {}
        self._around = around
        self._leaving: dict[int, asyncio.Task[None]] = {}

    def apply(self, destinations: Iterable[Destination]) -> None:
        """Makes these the destinations there are; who stays as it was keeps its connection."""
        wanted = {destination.id: destination for destination in destinations}
        for gone in self.legs.keys() - wanted.keys():
            self._remove(self.legs.pop(gone))
        for destination in wanted.values():
            self._adjust(destination)
        self.legs = {each: self.legs[each] for each in wanted}

    def each(self, act: Callable[[Leg], None]) -> None:
        for leg in self.legs.values():
            try:
                act(leg)
            except Exception as error:  # the guard: a bug in one destination's leg stays there
                log.exception("internal error", extra={"destination_id": leg.destination.id})
                leg.fail(f"internal error ({type(error).__name__})")

    def retry(self) -> None:
        """Whoever waits for the next attempt makes it now."""
        self.each(lambda leg: leg.retry())

    def status(self, now: float) -> list[dict[str, Any]]:
        return [leg.status(now) for leg in self.legs.values()]

    async def leave(self) -> None:
        """Unpublishes and closes everywhere."""
        for leg in self.legs.values():
            self._remove(leg)
        if self._leaving:
            await asyncio.wait(self._leaving.values())

    def _adjust(self, destination: Destination) -> None:
        leg = self.legs.get(destination.id)
        if leg is None:
            self._add(destination)
        elif leg.destination.enabled == destination.enabled and leg.destination.same_place(destination):
            leg.destination = destination
        else:
            self._remove(leg)
            self._add(destination)

    def _add(self, destination: Destination) -> None:
        leg = make_leg(destination, self._around)
        self.legs[destination.id] = leg
        before = self._leaving.get(destination.id)
        if before is None:
            leg.start()
        else:  # its own old connection may still hold the key
            before.add_done_callback(lambda _: leg.start())

    def _remove(self, leg: Leg) -> None:
        key = leg.destination.id
        task = asyncio.create_task(leg.stop(), name=f"leave {key}")
        self._leaving[key] = task
        task.add_done_callback(lambda done: self._left(key, done))

    def _left(self, key: int, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]
