"""The timestamps of item after item put on one line that never goes back. Pure.

The next item begins at the later of the video's and the audio's end (last timestamp + its duration), and both
tracks are shifted by the same amount, so sound and picture keep their distance. Counts in ms on past 2^32;
the wire wraps, not we.
"""

from dataclasses import dataclass
from typing import Final

from .flv import AUDIO, VIDEO

MAX_GAP_MS: Final = 10_000
MAX_BACK_MS: Final = 1_000
_FIRST_STEP: Final = {AUDIO: 23, VIDEO: 33}


@dataclass(slots=True)
class _Track:
    last: int
    step: int

    @property
    def end(self) -> int:
        return self.last + self.step


class Timeline:
    """`place` says where a timestamp of the item falls, `commit` says that it was sent there."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._tracks: dict[int, _Track] = {}
        self._shift: int | None = None
        self._newest = 0

    @property
    def end(self) -> int:
        """Where the next item begins."""
        return max((track.end for track in self._tracks.values()), default=self._start)

    def begin_item(self) -> None:
        self._shift = None

    def last(self, kind: int) -> int:
        """Where codec headers and metadata go: they take no time."""
        track = self._tracks.get(kind)
        return track.last if track else self.end

    def place(self, kind: int, stamp: int) -> int:
        """The place of the item's timestamp `stamp` (ms) on the line."""
        placed = stamp + self._shift_for(stamp)
        track = self._tracks.get(kind)
        return max(placed, track.last) if track else max(placed, self._start)

    def commit(self, kind: int, stamp: int) -> int:
        """Takes the place, and returns it."""
        placed = self.place(kind, stamp)
        shift = self._shift_for(stamp)
        self._newest = stamp if shift != self._shift else max(stamp, self._newest)
        self._shift = shift
        track = self._tracks.setdefault(kind, _Track(placed, _FIRST_STEP.get(kind, 0)))
        if 0 < placed - track.last < MAX_BACK_MS:
            track.step = placed - track.last
        track.last = placed
        return placed

    def _shift_for(self, stamp: int) -> int:
        """A timestamp that jumps inside an item (a damaged or spliced file) begins anew like an item of its
        own.
        """
        if self._shift is None or not -MAX_BACK_MS <= stamp - self._newest <= MAX_GAP_MS:
            return self.end - stamp
        return self._shift
