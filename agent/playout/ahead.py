"""The next item, opened while the current one still plays, so that the boundary waits for no disk."""

from collections.abc import Callable

from .plan import Item
from .source import Source


class Ahead:
    def __init__(self) -> None:
        self._source: Source | None = None

    @property
    def is_open(self) -> bool:
        return self._source is not None

    def open(self, item: Item) -> None:
        self._source = Source(item, _nobody)

    def take(self, item: Item, wake: Callable[[], None]) -> Source | None:
        """What was opened, if it is this item; it wakes `wake` from now on."""
        source = self._source
        if source is None or source.item != item:
            self.drop()
            return None
        self._source, source.wake = None, wake
        return source

    def drop(self) -> None:
        if self._source:
            self._source.close()
            self._source = None


def _nobody() -> None:
    """An item opened ahead wakes nobody."""
