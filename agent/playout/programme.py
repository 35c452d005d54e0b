"""What the stream shows, one packet after another: the playlist, the item being read, the slate and the timeline
put together.

Knows no destination and no clock. `pull` gives everything due up to a moment of the timeline; what it gives
is sent. The item whose turn it is (`_source`) is on air unless the slate is: then it waits, and takes over again at a
key frame as soon as there is enough of it.
"""

from collections.abc import Callable
from typing import Final, Literal

from . import flv
from .ahead import Ahead
from .failures import Failures
from .flv import Tag
from .packets import Packet, Packetiser
from .plan import Item, Plan
from .playlist import Playlist
from .slate import Slates
from .source import Place, Source
from .timeline import Timeline

NOT_DUE: Final = -1
State = Literal["idle", "playing", "slate", "starved"]


class Programme:
    """`state`: «idle» nothing can play now, not even a slate, «starved» the next bytes are not there yet."""

    def __init__(self, playlist: Playlist, wake: Callable[[], None], start: int = 0, slate: str | None = None) -> None:
        self.playlist = playlist
        self.timeline = Timeline(start)
        self.failures = Failures()
        self.state: State = "idle"
        self.finished = False
        """A list that does not loop has been played to its end."""
        self.patient = False
        """A list in order waits for its first item, although a later one could begin."""
        self.paused = False
        self.items_played = 0
        self.began = 0
        """How many items and slates have gone on air."""
        self._wake = wake
        self._packetiser = Packetiser()
        self._source: Source | None = None
        self._ahead = Ahead()
        self._place = Place()
        self._origin: int | None = None
        self._shown: Item | None = None
        """The item last on air; its profile is the slate's."""
        self._has_shown = False
        self._slates = Slates(wake, slate)

    @property
    def item(self) -> Item | None:
        """What is on air; None for the slate."""
        return self._source.item if self._source and not self._slates.source else None

    @property
    def slate_reason(self) -> str | None:
        """Why the slate is on air; None when it is not."""
        return self._slates.reason

    @property
    def held(self) -> Item | None:
        """Whose turn it is, on air or behind the slate."""
        return self._source.item if self._source else None

    @property
    def place(self) -> Place:
        """Where in the held item we are: its newest key frame's offset, and the position reached."""
        return self._place

    def pull(self, limit: int, must: int = NOT_DUE) -> list[Packet]:
        """The packets whose time (ms of the timeline) is not after `limit`, in order.

        The slate comes on air when without it the line would end before `must`.
        """
        packets: list[Packet] = []
        while True:
            source = self._on_air()
            packet = self._next_packet(source, limit) if source else None
            if packet is not None:
                packets.append(packet)
            elif not self._leave_if_over(source) and not self._bridge(must):
                return packets

    # ------------------------------------------------------------------------------------------------ orders

    def begin_at(self, item: Item, place: Place) -> None:
        """Begin with this item, at the key frame before the position."""
        self.playlist.jump(item)
        self._start(item, place)

    def next(self) -> None:
        self.paused = False
        self._leave()

    def previous(self) -> None:
        """Where there is nothing to go back to the current item begins again."""
        item = self.playlist.previous(self.playable) or self.playlist.current
        if item is not None and self.playable(item):
            self._go_to(item)

    def jump(self, item: Item) -> None:
        self.playlist.jump(item)
        self._go_to(item)

    def pause(self) -> None:
        """The slate, until `resume`; the item goes on where it was."""
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def edit(self, plan: Plan) -> None:
        """A new list: the item on air goes on if it is still there and has not failed."""
        self.failures.forgive_changed(plan.items)
        self._slates.edit(plan.slate)
        stays = self.playlist.edit(plan.items, plan.order, plan.loop)
        self._ahead.drop()
        if self._shown is not None:
            self._shown = self.playlist.find(self._shown.item_id) or self._shown
        current = self.playlist.current
        if self._source and current and stays and current.failed is None:
            self._source.update(current)
        elif self._source:
            self._leave()

    def abandon(self, reason: str) -> None:
        """Something is wrong with what is on air that nobody foresaw."""
        if self._slates.source:
            self._slates.give_up()
        elif self._source:
            self.failures.add(self._source.item, reason)
            self._leave()

    def close(self) -> None:
        self._ahead.drop()
        self._slates.end()
        if self._source:
            self._source.close()
            self._source = None

    def playable(self, item: Item) -> bool:
        return item.playable and self.failures.reason(item) is None

    def spent(self, item: Item) -> bool:
        return self.failures.reason(item) is not None

    # ------------------------------------------------------------------------------------------------ on air

    def _on_air(self) -> Source | None:
        if self._slates.source and not self._can_return():
            return self._slates.source
        if self._slates.source:
            self._slates.end()
            self._cut()
        if self.paused:
            self.state = "idle"
            return None
        return self._source or self._open_next()

    def _can_return(self) -> bool:
        """The slate is on air: whether an item can take over from it."""
        while not self.paused and (source := self._source or self._open_next()):
            if source.is_warm:
                return True
            if not self._leave_if_over(source):
                return False
        return False

    def _open_next(self) -> Source | None:
        self.failures.note_planned(self.playlist.items())
        self.state = "idle"
        opening = self.playlist.opening(self.spent)
        if self.patient and opening is not None and not self.playable(opening):
            return None
        item = self.playlist.advance(self.playable, self.spent)
        if item is None:
            self.finished = self.items_played > 0 and self.playlist.finished(self.spent)
            return None
        return self._start(item, Place())

    def _start(self, item: Item, place: Place) -> Source:
        self.finished = False
        self._has_shown = False
        ahead = self._ahead.take(item, self._wake) if place == Place() else None
        self._source = ahead or Source(item, self._wake, place)
        self._place = place
        self._origin = None
        if not self._slates.source:
            self._cut()
        return self._source

    def _cut(self) -> None:
        self.timeline.begin_item()
        self._packetiser.begin_item()

    def _next_packet(self, source: Source, limit: int) -> Packet | None:
        """None: the next one is not due, or not there. Tags that are not to be sent are passed over."""
        while tag := source.peek():
            if tag.is_media:
                return self._media(source, tag, limit)
            source.pop()
            if packet := self._header(tag):
                return packet
        self.state = "starved"
        return None

    def _media(self, source: Source, tag: Tag, limit: int) -> Packet | None:
        self.state = "slate" if self._slates.source else "playing"
        if self.timeline.is_at_boundary and isinstance(source, Source):
            self.timeline.meet(source.firsts)
        if self.timeline.place(tag.kind, tag.timestamp) > limit:
            self._open_ahead(source)
            return None
        source.pop()
        placed = self.timeline.commit(tag.kind, tag.timestamp)
        may_join = tag.is_key_frame or not source.has_video
        if self._slates.source:
            self._slates.has_shown = True
        else:
            self._follow(source, tag, may_join)
        return self._packetiser.media(tag, placed, may_join=may_join)

    def _follow(self, source: Source, tag: Tag, may_join: bool) -> None:
        """Remembers how far the item has come."""
        if self._origin is None:
            self._origin = tag.timestamp - source.offset_ms
            self._shown = source.item
            self.began += not self._has_shown
            self._has_shown = True
        position_ms = max(0, tag.timestamp - self._origin)
        self._place = Place(position_ms, tag.offset if may_join else self._place.offset)

    def _header(self, tag: Tag) -> Packet | None:
        payload = flv.live_metadata(tag.payload) if tag.kind == flv.SCRIPT else tag.payload
        if payload is None:
            return None
        return self._packetiser.header(tag.kind, self.timeline.last(tag.kind), payload)

    # ------------------------------------------------------------------------------------------------ the end of it

    def _leave_if_over(self, source: Source | None) -> bool:
        if source is None or not source.exhausted:
            return False
        if source is self._slates.source:
            if self._slates.begin_again():
                self._cut()
            return True
        if source.error or self._origin is None:
            self.failures.add(source.item, source.error or "there is nothing playable in the file")
        self._leave()
        return True

    def _leave(self) -> None:
        if self._source:
            self.items_played += self._has_shown
            self._source.close()
        self._source = None
        self._place = Place()

    def _go_to(self, item: Item) -> None:
        self.paused = False
        self._leave()
        self._start(item, Place())

    # ------------------------------------------------------------------------------------------------ the slate

    def _bridge(self, must: int) -> bool:
        """Puts the slate on air where there would be nothing; whether it did."""
        if self._slates.source or self.finished or (self.timeline.end >= must and not self.paused):
            return False
        path = self._slates.find(self._shown, self.playlist.upcoming_items(self.spent))
        if path is None:
            return False
        reason = self._why()
        if self._source:  # it goes on at a key frame
            item, place = self._source.item, self._place
            self._source.close()
            self._source, self._origin = Source(item, self._wake, place), None
        self._slates.begin(path, reason)
        self.began += 1
        self._cut()
        return True

    def _why(self) -> str:
        if self.paused:
            return "paused"
        if self._source:
            slow = "cannot be read fast enough" if self._source.item.complete else "is still being downloaded"
            return f"«{self._source.item.title}» {slow}"
        if not self.playlist.items():
            return "the playlist is empty"
        if all(map(self.spent, self.playlist.items())):
            return "nothing in the playlist can be played"
        return "no video of the playlist is here yet"

    def _open_ahead(self, current: Source) -> None:
        if self._slates.source or self._ahead.is_open or not current.ended:
            return
        following = self.playlist.upcoming(1, self.playable)
        item = self.playlist.find(following[0]) if following else None
        if item is not None:
            self._ahead.open(item)
