"""A rate over the last seconds, from a total that only grows. Pure."""

from collections import deque
from typing import Final

WINDOW_S: Final = 5.0
STEP_S: Final = 0.5
QUEUE_S: Final = 5.0
QUEUE_BYTES: Final = (512 * 1024, 8 * 1024 * 1024)


class Meter:
    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, now: float, total: int) -> None:
        """`total` bytes up to `now` (monotonic s)."""
        if self._samples and now - self._samples[-1][0] < STEP_S:
            return
        self._samples.append((now, total))
        while now - self._samples[0][0] > WINDOW_S + STEP_S:
            self._samples.popleft()

    def kbps(self, now: float, total: int) -> float:
        """kbit/s since the oldest sample kept; 0.0 until there is one."""
        if not self._samples:
            return 0.0
        since, then = self._samples[0]
        return round(max(0, total - then) * 8 / 1000 / (now - since), 1) if now - since >= 0.1 else 0.0


def queue_limit(kbps: float) -> int:
    """Bytes that may wait for a destination. 0: the rate is not known yet, and the burst at the start comes before."""
    low, high = QUEUE_BYTES
    return min(high, max(low, int(kbps * 1000 / 8 * QUEUE_S))) if kbps else high
