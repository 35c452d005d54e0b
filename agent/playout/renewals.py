"""Looks at each key frame that goes out whether a destination, or the whole run, is to begin anew there
(`renewal` says when)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .leg import Leg
from .outputs import Outputs
from .packets import Packet, Preamble
from .renewal import Aged, due, opens_s

WHOLE: Final = -1
"""In the place of a destination's id: the whole run."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Before packet `at` this one is closed; `who` None: nobody."""

    at: int
    who: int | None = None


class Renewals:
    """`restart_every_s`: how long a run goes on at most before all of it begins anew; None: for ever."""

    def __init__(self, outputs: Outputs, now: float) -> None:
        self.restart_every_s: float | None = None
        self._outputs = outputs
        self._started = now
        self._preamble: Preamble | None = None

    def cut(self, packets: Sequence[Packet], now: float) -> Cut:
        for at, packet in enumerate(packets):
            if packet.preamble is not None and (who := self._due(packet.preamble, now)) is not None:
                return Cut(at, who)
        return Cut(len(packets))

    def status(self, now: float, wall: float) -> dict[str, Any] | None:
        """«restart» of STATUS: between when and when."""
        if (every_s := self.restart_every_s) is None:
            return None
        age_s = now - self._started
        waits_s = (opens_s(every_s) - age_s, every_s - age_s)
        first, last = (round(wall + max(0.0, wait_s)) for wait_s in waits_s)
        return {"next_from": first, "next_by": last}

    def _due(self, preamble: Preamble, now: float) -> int | None:
        at_boundary, self._preamble = preamble is not self._preamble, preamble
        if self.restart_every_s is not None:
            whole = Aged(WHOLE, self.restart_every_s, now - self._started)
            if due([whole], at_boundary=at_boundary, is_busy=False) is not None:
                return WHOLE
        legs = self._outputs.legs.values()
        ages = [each for leg in legs if (each := _aged(leg, now)) is not None]
        if not ages:
            return None
        is_busy = any(leg.broadcast.is_renewing for leg in legs)
        return due(ages, at_boundary=at_boundary, is_busy=is_busy)


def _aged(leg: Leg, now: float) -> Aged | None:
    """None: it has no time limit, or nothing to close."""
    every_s = leg.destination.renew_every_s
    if every_s is None or leg.state != "live" or not leg.ready:
        return None
    return Aged(leg.destination.id, every_s, leg.broadcast.age_s(now))
