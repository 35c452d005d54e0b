"""Files that did not play, as they were then: not tried again until they change, and told with the reason."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .plan import Item

SKIPPED_KEPT: Final = 10


@dataclass(frozen=True, slots=True)
class Skipped:
    file_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    path: str
    size: int
    changed_ns: int


class Failures:
    """`skipped`: the last ones, also those that the plan says cannot play."""

    def __init__(self) -> None:
        self.skipped: deque[Skipped] = deque(maxlen=SKIPPED_KEPT)
        self._by_file: dict[int, _Failure] = {}

    def add(self, item: Item, reason: str) -> None:
        self._by_file[item.file_id] = _Failure(reason, item.path, *_stat(item.path))
        self._note(Skipped(item.file_id, reason))

    def note_planned(self, items: Iterable[Item]) -> None:
        for item in items:
            if item.failed is not None:
                self._note(Skipped(item.file_id, item.failed))

    def reason(self, item: Item) -> str | None:
        """Why the item does not play; None when it may be tried."""
        failure = self._by_file.get(item.file_id)
        return item.failed or (failure.reason if failure else None)

    def forgive_changed(self, items: Iterable[Item]) -> None:
        """What lies there now is another file: it gets its try, and the old reason is not told any more."""
        for item in items:
            failure = self._by_file.get(item.file_id)
            now = (item.path, *_stat(item.path))
            if failure is not None and (failure.path, failure.size, failure.changed_ns) != now:
                del self._by_file[item.file_id]
                self._take_back(Skipped(item.file_id, failure.reason))

    def _note(self, skipped: Skipped) -> None:
        if skipped not in self.skipped:
            self.skipped.append(skipped)

    def _take_back(self, skipped: Skipped) -> None:
        if skipped in self.skipped:
            self.skipped.remove(skipped)


def _stat(path: str) -> tuple[int, int]:
    """(size, time of change in ns), (-1, -1) where there is no file, or no file can be."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns
