"""What the receivers saw: from when to when bytes of each key came, and from whom. Off air is measured here alone.

Sampled ten times a second. A publisher whose bytes grew between two samples counts as pushing for all of that time, so
a figure is at most two samples too small, and a sampler that was held up finds no gap that was none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from bench.chaos_receivers import Publisher, Receiver

EVERY_S: Final = 0.1
JOINED_S: Final = 0.25
"""A shorter silence of one publisher is how a network breathes."""
OFF_AIR_S: Final = 1.0
"""A longer silence counts as off air, from its first moment. Shorter ones are covered by what a playout sends ahead
(0.7 s) and by the least that players keep."""
Place = tuple[str, str]
"""A receiver's name, and a key."""
Stretch = tuple[float, float]


@dataclass(slots=True)
class _Pushed:
    bytes: int = 0
    stretches: list[list[float]] = field(default_factory=list)


class Watch:
    """`with Watch(receivers) as watch:`; all times are the monotonic clock's."""

    def __init__(self, receivers: Mapping[str, Receiver]) -> None:
        self.slowest_s = 0.0
        self._receivers = receivers
        self._seen: dict[Place, dict[int, _Pushed]] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join(10)

    def off_air_s(self, place: Place, since: float, until: float) -> float:
        """Seconds of all silences that are worth the name."""
        return sum(gap for gap in gaps(self._stretches(place), since, until) if gap > OFF_AIR_S)

    def silence_s(self, place: Place, since: float, until: float) -> float:
        """The longest silence, whatever it is worth."""
        return max(gaps(self._stretches(place), since, until), default=0.0)

    def doubled_s(self, place: Place, since: float, until: float) -> float:
        """The longest time that two publishers pushed it at once."""
        return longest_overlap(clipped(self._stretches(place), since, until))

    def pushing(self, place: Place, within_s: float = 2.0) -> int:
        """How many publishers have pushed it in the last moments."""
        since = time.monotonic() - within_s
        with self._lock:
            pushed = self._seen.get(place, {}).values()
            return sum(1 for each in pushed if each.stretches and each.stretches[-1][1] > since)

    def _stretches(self, place: Place) -> list[Stretch]:
        with self._lock:
            pushed = self._seen.get(place, {}).values()
            return [(begin, end) for each in pushed for begin, end in each.stretches]

    def _run(self) -> None:
        before = time.monotonic()
        while not self._done.wait(EVERY_S):
            samples = [(name, receiver.sample()) for name, receiver in self._receivers.items()]
            now = time.monotonic()
            self.slowest_s = max(self.slowest_s, now - before)
            with self._lock:
                for name, sample in samples:
                    self._note(name, sample, before, now)
            before = now

    def _note(self, name: str, sample: Mapping[Publisher, int], before: float, now: float) -> None:
        for (key, number), size in sample.items():
            publishers = self._seen.setdefault((name, key), {})
            is_new = number not in publishers
            pushed = publishers.setdefault(number, _Pushed())
            if size > pushed.bytes:
                pushed.bytes = size
                _extend(pushed.stretches, now if is_new else before, now)


def _extend(stretches: list[list[float]], begin: float, end: float) -> None:
    if stretches and begin - stretches[-1][1] <= JOINED_S:
        stretches[-1][1] = end
    else:
        stretches.append([begin, end])


def clipped(stretches: Iterable[Stretch], since: float, until: float) -> list[Stretch]:
    return [(max(begin, since), min(end, until)) for begin, end in stretches if end > since and begin < until]


def gaps(stretches: Iterable[Stretch], since: float, until: float) -> list[float]:
    """Lengths of the times between `since` and `until` in which nobody pushed."""
    found, covered = [], since
    for begin, end in sorted(clipped(stretches, since, until)):
        if begin > covered:
            found.append(begin - covered)
        covered = max(covered, end)
    return [*found, until - covered] if until > covered else found


def longest_overlap(stretches: Iterable[Stretch]) -> float:
    """The longest time in which two or more lie over each other."""
    edges = sorted(edge for begin, end in stretches for edge in ((begin, 1), (end, -1)))
    longest, depth, since = 0.0, 0, 0.0
    for at, step in edges:
        if depth >= 2:
            longest = max(longest, at - since)
        depth += step
        if depth == 2 and step == 1:
            since = at
    return longest
