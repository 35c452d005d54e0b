"""All destinations of the stream: added, removed and changed while it is on air, each without the others noticing."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .leg import Leg, Surroundings
from .legs import make_leg
from .orders import OrderError
from .plan import Destination

log = logging.getLogger(__name__)


class Outputs:
    def __init__(self, around: Surroundings) -> None:
        self.legs: dict[int, Leg] = {}
        self._around = around
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._before: dict[int, Mapping[str, Any]] = {}
        self._away_s = 0.0
        self._restarted = False

    def apply(self, destinations: Iterable[Destination]) -> None:
        """Makes these the destinations there are; who stays as it was keeps its connection."""
        wanted = {destination.id: destination for destination in destinations}
        for gone in self.legs.keys() - wanted.keys():
            self._remove(self.legs.pop(gone))
        for destination in wanted.values():
            self._adjust(destination)
        self.legs = {each: self.legs[each] for each in wanted}

    def take_up(self, before: Mapping[int, Mapping[str, Any]], away_s: float, *, restarted: bool) -> None:
        """What the process before, which ended `away_s` ago, said of its destinations' broadcasts by their ids.
        `restarted`: it ended for this one to begin."""
        self._before, self._away_s, self._restarted = dict(before), away_s, restarted

    def renew(self, destination_id: int | None) -> Leg:
        """Closes it properly and connects it anew, or ends its wait for the next attempt. Raises OrderError."""
        leg = self.legs.get(destination_id or 0)
        if leg is None:
            raise OrderError("there is no such destination")
        if leg.state == "disabled":
            raise OrderError("the destination is switched off")
        leg.renew(asked=True)
        return leg

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
        if before := self._before.pop(destination.id, None):
            leg.take_up(before, self._away_s, renewing=self._restarted)
        self.legs[destination.id] = leg
        leaving = self._leaving.get(destination.id)
        if leaving is None:
            leg.start()
        else:  # its own old connection may still hold the key
            leaving.add_done_callback(lambda _: leg.start())

    def _remove(self, leg: Leg) -> None:
        key = leg.destination.id
        task = asyncio.create_task(leg.stop(), name=f"leave {key}")
        self._leaving[key] = task
        task.add_done_callback(lambda done: self._left(key, done))

    def _left(self, key: int, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]
