"""The timestamps of item after item put on one line that never goes back. Pure.

The next item begins where neither its picture nor its sound overlaps what was there (last timestamp + its duration);
both tracks are shifted by the same amount, so they keep their distance. How long the last frame lasts no file
says: as long as the shortest of its item, for after a long one (a varying frame rate) the sound would have a hole.
Counts in ms on past 2^32; the wire wraps, not we.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .flv import AUDIO, VIDEO

NO_LIMIT: Final = 1 << 62
MAX_GAP_MS: Final = 10_000
MAX_BACK_MS: Final = 1_000
_FIRST_STEP: Final = {AUDIO: 23, VIDEO: 33}


@dataclass(slots=True)
class _Track:
    last: int
    step: int
    is_new: bool = True
    """Nothing of this item was committed yet."""
    is_paced: bool = False
    """`step` is from this item."""

    @property
    def end(self) -> int:
        return self.last + self.step


class Timeline:
    """`place` says where a timestamp of the item falls, `commit` says that it was sent there."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._tracks: dict[int, _Track] = {}
        self._shift: int | None = None
        self._firsts: Mapping[int, int] = {}
        self._newest = 0

    @property
    def is_at_boundary(self) -> bool:
        """Nothing of the item has been committed yet."""
        return self._shift is None

    @property
    def end(self) -> int:
        """Where the next item begins."""
        return max((track.end for track in self._tracks.values()), default=self._start)

    def begin_item(self) -> None:
        self._shift, self._firsts = None, {}
        for track in self._tracks.values():
            track.is_new, track.is_paced = True, False

    def meet(self, firsts: Mapping[int, int]) -> None:
        """The first timestamp of each track of the item at the boundary. With B-frames or late sound the tracks do
        not begin together: each then follows its own kind, instead of both what ended last.
        """
        apart = max(firsts.values(), default=0) - min(firsts.values(), default=0)
        self._firsts = firsts if apart <= MAX_BACK_MS else {}

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
        return self.take(kind, stamp, NO_LIMIT) or 0

    def take(self, kind: int, stamp: int, limit: int) -> int | None:
        """Takes the place and returns it; None, and nothing has changed, when it is after `limit`."""
        shift = self._shift_for(stamp)
        placed = stamp + shift
        track = self._tracks.get(kind)
        least = track.last if track else self._start
        if placed < least:
            placed = least
        if placed > limit:
            return None
        if shift != self._shift or stamp > self._newest:
            self._newest = stamp
        self._shift = shift
        if track is None:
            track = self._tracks[kind] = _Track(placed, 0)
        step = placed - track.last
        if track.is_new:
            track.step, track.is_new = _FIRST_STEP.get(kind, 0), False
        elif 0 < step < MAX_BACK_MS:
            track.step = min(step, track.step) if track.is_paced else step
            track.is_paced = True
        track.last = placed
        return placed

    def _shift_for(self, stamp: int) -> int:
        """A timestamp that jumps inside an item (a damaged or spliced file) begins anew like an item of its
        own.
        """
        if self._shift is None and self._firsts and self._firsts.keys() == self._tracks.keys():
            return max(track.end - self._firsts[kind] for kind, track in self._tracks.items())
        if self._shift is None or not -MAX_BACK_MS <= stamp - self._newest <= MAX_GAP_MS:
            return self.end - stamp
        return self._shift
