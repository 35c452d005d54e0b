"""What the stream shows, one packet after another: the playlist, the item being read and the timeline put
together.

Knows no destination and no clock. `pull` gives everything due up to a moment of the timeline; what it gives
is sent.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from . import flv
from .flv import Tag
from .packets import Packet, Packetiser
from .plan import Item, Plan
from .playlist import Playlist
from .source import Source
from .timeline import Timeline

SKIPPED_KEPT: Final = 10
State = Literal["idle", "playing", "starved", "finished"]


@dataclass(frozen=True, slots=True)
class Skipped:
    file_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Failure:
    """A file that did not play, as it was then: it is not tried again until it changes."""

    reason: str
    path: str
    size: int
    changed_ns: int


class Programme:
    """`state`: «idle» nothing can play now, «starved» the item's next bytes are not there yet, «finished» for
    good.
    """

    def __init__(self, playlist: Playlist, wake: Callable[[], None], start: int = 0) -> None:
        self.playlist = playlist
        self.timeline = Timeline(start)
        self.state: State = "idle"
        self.patient = False
        """A list in order waits for its first item, although a later one could begin."""
        self.items_played = 0
        self.position_ms = 0
        self.skipped: deque[Skipped] = deque(maxlen=SKIPPED_KEPT)
        self._wake = wake
        self._packetiser = Packetiser()
        self._source: Source | None = None
        self._ahead: Source | None = None
        self._origin: int | None = None
        self._failures: dict[int, _Failure] = {}

    @property
    def item(self) -> Item | None:
        return self._source.item if self._source else None

    def pull(self, limit: int) -> list[Packet]:
        """The packets whose time (ms of the timeline) is not after `limit`, in order."""
        packets: list[Packet] = []
        while self._source or self._open_next():
            packet = self._next_packet(limit)
            if packet is not None:
                packets.append(packet)
            elif not self._leave_if_over():
                break
        return packets

    def resume(self, item: Item, position_s: float) -> None:
        """Begin with this item, at the key frame before the position."""
        self.playlist.jump(item)
        self._start(Source(item, self._wake, position_s))

    def next(self) -> None:
        self._leave()

    def jump(self, item: Item) -> None:
        self._leave()
        self.playlist.jump(item)
        self._start(Source(item, self._wake))

    def edit(self, plan: Plan) -> None:
        """A new list: the item on air goes on if it is still there and has not failed."""
        for file_id in [item.file_id for item in plan.items if self._changed(item)]:
            del self._failures[file_id]
        stays = self.playlist.edit(plan.items, plan.order, plan.loop)
        self._drop_ahead()
        current = self.playlist.current
        if self._source and current and stays and current.failed is None:
            self._source.update(current)
        elif self._source:
            self._leave()

    def abandon(self, reason: str) -> None:
        """Something is wrong with the current item that nobody foresaw."""
        if self._source:
            self._fail(self._source.item, reason)
        self._leave()

    def playable(self, item: Item) -> bool:
        return item.playable and item.file_id not in self._failures

    def why_not(self, item: Item) -> str:
        """Why an item that is not playable is not."""
        failure = self._failures.get(item.file_id)
        return item.failed or (failure.reason if failure else "the item is not ready yet")

    def spent(self, item: Item) -> bool:
        return item.failed is not None or item.file_id in self._failures

    def close(self) -> None:
        self._drop_ahead()
        if self._source:
            self._source.close()
            self._source = None

    def _open_next(self) -> bool:
        for broken in self.playlist.items():
            if broken.failed is not None:
                self._note(Skipped(broken.file_id, broken.failed))
        opening = self.playlist.opening(self.spent)
        if self.patient and opening is not None and not self.playable(opening):
            self.state = "idle"
            return False
        item = self.playlist.advance(self.playable, self.spent)
        if item is None:
            over = self.items_played > 0 and self.playlist.finished(self.spent)
            self.state = "finished" if over else "idle"
            return False
        self._start(self._take_ahead(item) or Source(item, self._wake))
        return True

    def _start(self, source: Source) -> None:
        self._source = source
        self._origin = None
        self.position_ms = 0
        self.timeline.begin_item()
        self._packetiser.begin_item()

    def _next_packet(self, limit: int) -> Packet | None:
        """None: the next one is not due, or not there. Tags that are not to be sent are passed over."""
        source = self._source
        while source and (tag := source.peek()):
            if tag.kind != flv.SCRIPT and not tag.is_codec_header:
                return self._media(source, tag, limit)
            source.pop()
            if packet := self._header(tag):
                return packet
        self.state = "starved"
        return None

    def _media(self, source: Source, tag: Tag, limit: int) -> Packet | None:
        self.state = "playing"
        if self.timeline.place(tag.kind, tag.timestamp) > limit:
            self._open_ahead(source)
            return None
        source.pop()
        placed = self.timeline.commit(tag.kind, tag.timestamp)
        if self._origin is None:
            self._origin = tag.timestamp - source.offset_ms
        self.position_ms = max(0, tag.timestamp - self._origin)
        return self._packetiser.media(tag, placed, may_join=tag.is_key_frame or not source.has_video)

    def _header(self, tag: Tag) -> Packet | None:
        payload = flv.live_metadata(tag.payload) if tag.kind == flv.SCRIPT else tag.payload
        if payload is None:
            return None
        return self._packetiser.header(tag.kind, self.timeline.last(tag.kind), payload)

    def _leave_if_over(self) -> bool:
        source = self._source
        if source is None or not source.exhausted:
            return False
        if source.error or self._origin is None:
            self._fail(source.item, source.error or "there is nothing playable in the file")
        self._leave()
        return True

    def _leave(self) -> None:
        if self._source:
            self.items_played += self._origin is not None
            self._source.close()
        self._source = None

    def _open_ahead(self, current: Source) -> None:
        """Once the item is read to its end the next one is opened, so that the boundary waits for no disk."""
        if self._ahead or not current.ended:
            return
        following = self.playlist.upcoming(1, self.playable)
        item = self.playlist.find(following[0]) if following else None
        if item is not None:
            self._ahead = Source(item, _nothing)

    def _take_ahead(self, item: Item) -> Source | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.item == item:
            ahead.wake = self._wake
            return ahead
        if ahead is not None:
            ahead.close()
        return None

    def _drop_ahead(self) -> None:
        if self._ahead:
            self._ahead.close()
            self._ahead = None

    def _fail(self, item: Item, reason: str) -> None:
        self._failures[item.file_id] = _Failure(reason, item.path, *_stat(item.path))
        self._note(Skipped(item.file_id, reason))

    def _note(self, skipped: Skipped) -> None:
        if skipped not in self.skipped:
            self.skipped.append(skipped)

    def _changed(self, item: Item) -> bool:
        failure = self._failures.get(item.file_id)
        now = (item.path, *_stat(item.path))
        return failure is not None and (failure.path, failure.size, failure.changed_ns) != now


def _stat(path: str) -> tuple[int, int]:
    """(size, time of change in ns), (-1, -1) where there is no file, or no file can be."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _nothing() -> None:
    """An item opened ahead wakes nobody."""
