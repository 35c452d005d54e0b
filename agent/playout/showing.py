"""The item whose turn it is, and how far it has come."""

from collections.abc import Callable
from typing import Final

from .flv import Tag
from .live import LiveSource
from .plan import Item
from .source import Place, Source

NEARLY_OVER_MS: Final = 10_000


class Showing:
    """`place`: the position reached, and the offset of the newest key frame before it."""

    def __init__(self, source: Source | LiveSource, place: Place) -> None:
        self.source = source
        self._position_ms, self._offset = place.position_ms, place.offset
        self.has_begun = False
        """Some of it has been on air."""
        self._origin: int | None = None

    @property
    def place(self) -> Place:
        return Place(self._position_ms, self._offset)

    @property
    def item(self) -> Item:
        return self.source.item

    @property
    def is_live(self) -> bool:
        return isinstance(self.source, LiveSource)

    @property
    def is_nearly_over(self) -> bool:
        """Time to get the next item ready."""
        duration_s = self.item.duration_s
        left_ms = duration_s * 1000 - self.place.position_ms if duration_s is not None else None
        return self.source.ended or (left_ms is not None and left_ms < NEARLY_OVER_MS)

    @property
    def fault(self) -> str | None:
        """Why what was read is no item; None for a live input, which only goes away."""
        if isinstance(self.source, LiveSource):
            return None
        return self.source.error or ("there is nothing playable in the file" if self._origin is None else None)

    def follow(self, tag: Tag, *, may_join: bool) -> bool:
        """Remembers how far the item has come; True for the first of it on air."""
        if self._origin is None:
            self._origin = tag.timestamp - self.source.offset_ms
        self._position_ms = max(0, tag.timestamp - self._origin)
        if may_join:
            self._offset = tag.offset
        is_first, self.has_begun = not self.has_begun, True
        return is_first

    def go_back_to_key_frame(self, wake: Callable[[], None]) -> None:
        """To go on later from where a decoder can begin."""
        self.source.close()
        self.source = Source(self.item, wake, self.place)
        self._origin = None

    def close(self) -> None:
        self.source.close()
