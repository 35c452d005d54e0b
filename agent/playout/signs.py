"""Signs of life of one connection: does what is sent arrive? Pure.

TCP's acknowledgements say what the other end's kernel has, RTMP's what its program has taken. A program that hangs
behind a kernel or a relay that still takes bytes is found by the latter alone. They come once per window, which the
server chooses, so what counts is not how long the last one is ago but how much has gone out since. A server that
never acknowledged is judged by TCP alone.
"""

from typing import Final

_WINDOWS: Final = 3
_SLACK: Final = 64 * 1024
_LEAST_ACKNOWLEDGEMENTS: Final = 2


class Signs:
    """`heed`: whether RTMP's acknowledgements count. Times in monotonic seconds."""

    def __init__(self, now: float, *, heed: bool = True) -> None:
        self._heed = heed
        self._moved = (0, now)
        self._acknowledgements = 0
        self._acked_then = 0
        self._window = 0
        self._in_time = now

    def note(self, now: float, queued: int, acked: int, acknowledgements: int) -> None:
        """`queued` and `acked` bytes as TCP has them; `acknowledgements` as many of RTMP's as have come."""
        if acked > self._moved[0] or not queued:
            self._moved = (acked, now)
        if acknowledgements > self._acknowledgements:
            self._acknowledgements = acknowledgements
            self._window = max(self._window, acked - self._acked_then)
            self._acked_then = acked
        known = self._heed and self._acknowledgements >= _LEAST_ACKNOWLEDGEMENTS
        if not known or acked - self._acked_then <= _WINDOWS * self._window + _SLACK:
            self._in_time = now

    def silent_s(self, now: float) -> float:
        """Since when no byte has arrived although some wait."""
        return now - self._moved[1]

    def unacknowledged_s(self, now: float) -> float:
        """Since when the server's own acknowledgements are overdue."""
        return now - self._in_time
