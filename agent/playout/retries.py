"""What one destination's failures say: the state it is in, and how long it waits before the next attempt."""

import random
import time
from typing import Final, Literal

from .backoff import MOVED_S, REFUSED_S, STABLE_S, refused_delay, retry_delay
from .link import Closed, Misconfigured
from .rtmp import Phase, Refused, RtmpError, Temporary

State = Literal["connecting", "live", "reconnecting", "renewing", "refused", "failed", "disabled"]
UNHEEDED_AFTER: Final = 2
"""So many connections were given up because the server's acknowledgements ended: then those prove nothing."""


class Unacknowledged(Temporary):
    """Bytes go out, and the server no longer says that it has them."""


class Retries:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._healthy_at = time.monotonic()
        self._closed_on_key = 0
        self._refusals = 0
        self._unacknowledged = 0

    @property
    def heeds(self) -> bool:
        """Whether the server's acknowledgements count."""
        return self._unacknowledged < UNHEEDED_AFTER

    def is_live(self, now: float, since: float) -> None:
        """Live since then, monotonic seconds: once that has lasted, what went wrong before is forgotten."""
        if now - since >= STABLE_S:
            self._healthy_at = now
            self._closed_on_key = self._refusals = 0

    def after(self, error: RtmpError, *, was_taken: bool, was_moved: bool = False) -> tuple[State, float]:
        """`was_taken`: something was, once; `was_moved`: the run was on another server before. Seconds to wait before
        the next attempt."""
        self._unacknowledged += isinstance(error, Unacknowledged)
        if isinstance(error, Refused) or self._turned_away(error):
            return "refused", self._after_refusal(REFUSED_S if was_taken else MOVED_S if was_moved else 0.0)
        if isinstance(error, Misconfigured):
            return "failed", refused_delay(self._rng)
        return "reconnecting", retry_delay(time.monotonic() - self._healthy_at, self._rng)

    def _after_refusal(self, ours_s: float) -> float:
        """Our own connection of a moment ago may hold the key, or the server the run was on before: then, for `ours_s`,
        and the first time, ask again soon."""
        self._refusals += 1
        out_s = time.monotonic() - self._healthy_at
        soon = self._refusals == 1 or out_s < ours_s
        return retry_delay(out_s, self._rng) if soon else refused_delay(self._rng)

    def _turned_away(self, error: RtmpError) -> bool:
        """Many platforms say no to a key by closing: once may be chance, twice is an answer."""
        on_key = isinstance(error, Closed) and error.phase is Phase.PUBLISH
        self._closed_on_key = self._closed_on_key + 1 if on_key else 0
        return self._closed_on_key >= 2
