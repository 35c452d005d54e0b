"""When a destination is closed properly and published anew, before its platform ends the broadcast (EDGE-3). Pure.

`every_s` is the longest that one broadcast gets. The last quarter of it, at most PATIENCE_S, is for waiting: the first
boundary between two items in it is taken; where none comes, the last key frame in time. Destinations go one after the
other, so that never two are away together, unless their time is up.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PATIENCE_S: Final = 7200.0
PATIENCE_SHARE: Final = 0.25
OVERDUE_S: Final = 60.0
"""So long after its time one waits for another to come back, no longer."""


def opens_s(every_s: float) -> float:
    """The age from which on a boundary is taken."""
    return every_s - min(PATIENCE_S, every_s * PATIENCE_SHARE)


@dataclass(frozen=True, slots=True)
class Aged:
    """One destination that is live, `age_s` after its broadcast began."""

    id: int
    every_s: float
    age_s: float

    @property
    def overdue_s(self) -> float:
        return self.age_s - self.every_s


def due(ages: Iterable[Aged], *, at_boundary: bool, is_busy: bool) -> int | None:
    """Who is to be renewed at this key frame. `is_busy`: another one is being renewed."""
    ripe = [each for each in ages if _is_ripe(each, at_boundary=at_boundary, is_busy=is_busy)]
    return max(ripe, key=lambda each: each.overdue_s).id if ripe else None


def _is_ripe(each: Aged, *, at_boundary: bool, is_busy: bool) -> bool:
    if is_busy:
        return each.overdue_s >= OVERDUE_S
    return each.age_s >= (opens_s(each.every_s) if at_boundary else each.every_s)


class Broadcast:
    """How long a destination has had its present broadcast, and how the last renewal went. A connection that is lost
    ends no broadcast: the platform goes on with it when we are back. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._left: float | None = None
        self._asked = False
        self._count = 0
        self._at: float | None = None
        self._off_s = 0.0
        self._was_asked = False

    def age_s(self, now: float) -> float:
        return now - self._began if self._began is not None else 0.0

    @property
    def is_renewing(self) -> bool:
        return self._left is not None

    def leave(self, now: float, *, asked: bool) -> None:
        """It is closed properly. `asked`: somebody wanted it now."""
        self._left, self._asked, self._began = now, asked, None

    def is_live(self, now: float) -> None:
        if self._began is None:
            self._began = now
        if self._left is not None:
            self._count, self._at = self._count + 1, time.time()
            self._off_s, self._was_asked, self._left = round(now - self._left, 2), self._asked, None

    def status(self, now: float, every_s: float | None) -> dict[str, Any]:
        """«renewal» of STATUS."""
        is_timed = every_s is not None and self._began is not None
        left_s = every_s - self.age_s(now) if every_s is not None else 0.0
        wait_s = opens_s(every_s) - self.age_s(now) if every_s is not None else 0.0
        return {
            "age_s": round(self.age_s(now), 1),
            "count": self._count,
            "at": None if self._at is None else round(self._at, 3),
            "off_s": self._off_s,
            "asked": self._was_asked,
            "next_from": round(time.time() + max(0.0, wait_s)) if is_timed else None,
            "next_by": round(time.time() + max(0.0, left_s)) if is_timed else None,
        }

    def take_up(self, before: Mapping[str, Any], now: float, away_s: float, *, renewing: bool) -> None:
        """Where the process before left off, `away_s` ago. Raises KeyError, TypeError or ValueError for what it
        cannot have written."""
        self._count, self._at = int(before["count"]), before["at"]
        self._off_s, self._was_asked = float(before["off_s"]), bool(before["asked"])
        if renewing:
            self.leave(now - away_s, asked=False)
        elif float(before["age_s"]) > 0:
            self._began = now - float(before["age_s"]) - away_s
