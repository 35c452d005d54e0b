"""The slate: what plays, over and over, whenever nothing else can."""

from collections.abc import Callable, Iterable, Sequence

from .plan import Item
from .source import Source


def why_slate(held: Item | None, items: Sequence[Item], spent: Callable[[Item], bool]) -> str:
    """Why nothing of the playlist plays, in words. `held`: the item whose bytes do not come."""
    if held:
        slow = "cannot be read fast enough" if held.complete else "is still being downloaded"
        return f"«{held.title}» {slow}"
    if not items:
        return "the playlist is empty"
    if all(map(spent, items)):
        return "nothing in the playlist can be played"
    return "no video of the playlist is here yet"


class Slates:
    """Which slate there is, and the one on air. `reason`: why it is; None while none is."""

    def __init__(self, wake: Callable[[], None], planned: str | None) -> None:
        self.reason: str | None = None
        self.source: Source | None = None
        self.has_shown = False
        self._wake = wake
        self._planned = planned
        self._path = ""
        self._bad: set[str] = set()

    def edit(self, planned: str | None) -> None:
        """A new plan: what was no slate may be one now."""
        self._planned = planned
        self._bad.clear()

    def find(self, shown: Item | None, coming: Iterable[Item]) -> str | None:
        """Of the profile of what was on air last, so that players need not change theirs; before anything was, of
        what will come. None: there is no slate.
        """
        wished = [shown.slate] if shown else [item.slate for item in coming]
        return next((path for path in [*wished, self._planned] if path and path not in self._bad), None)

    def begin(self, path: str, reason: str) -> None:
        self.reason, self._path = reason, path
        self.has_shown = False
        self.source = self._open()

    def begin_again(self) -> bool:
        """It came to its end: once more. False: there was nothing in it, and it is off the air for good."""
        if self.source is None or self.source.error or not self.has_shown:
            self.give_up()
            return False
        self.source.close()
        self.source = self._open()
        return True

    def give_up(self) -> None:
        self._bad.add(self._path)
        self.end()

    def end(self) -> None:
        if self.source:
            self.source.close()
        self.source = self.reason = None

    def _open(self) -> Source:
        item = Item(0, 0, "slate", self._path, ready=True, complete=True, duration_s=None, failed=None)
        return Source(item, self._wake)
