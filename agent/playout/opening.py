"""How a run begins: the first frame waits a moment for the destinations, and for the first item of its list."""

from collections.abc import Iterable
from typing import Final

from .leg import Leg

SLATE_AFTER_S: Final = 1.0
"""At the start of a run, when nothing has been on air yet: an item that is nearly there needs no slate before it."""
OPENING_LIMIT_S: Final = 10.0
"""So long a list in order waits for its first item while others could play already."""
BEGIN_LIMIT_S: Final = 2.0
BEGIN_GRACE_S: Final = 0.4


class Opening:
    """Times in monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._started = now
        self._first_ready: float | None = None
        self._since: float | None = None

    def is_patient(self, now: float) -> bool:
        """An item that could play already waits for the first of the list."""
        return now - self._started < OPENING_LIMIT_S

    def may_begin(self, legs: Iterable[Leg], now: float) -> bool:
        """Who misses the first frame waits for a key frame."""
        if self._is_time([*legs], now):
            self._since = now
            return True
        return False

    def slate_may_come(self, now: float) -> bool:
        return self._since is not None and now - self._since >= SLATE_AFTER_S

    def _is_time(self, legs: list[Leg], now: float) -> bool:
        if self._first_ready is None and any(leg.ready for leg in legs):
            self._first_ready = now
        if not any(leg.pending for leg in legs) or now - self._started >= BEGIN_LIMIT_S:
            return True
        return self._first_ready is not None and now - self._first_ready >= BEGIN_GRACE_S
