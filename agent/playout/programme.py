"""What the stream shows, one packet after another: the playlist, the item being read, the slate and the timeline
put together.

Knows no destination and no clock. `pull` gives everything due up to a moment of the timeline; what it gives
is sent. The item whose turn it is (`_showing`) is on air unless the slate is: then it waits, and takes over again at a
key frame as soon as there is enough of it.
"""

from collections.abc import Callable
from typing import Final, Literal

from . import flv
from .ahead import Ahead
from .failures import Failures
from .flv import Tag
from .live import LiveInputs, LiveSource
from .packets import Packet, Packetiser
from .plan import Item, Plan
from .playlist import Playlist
from .showing import Showing
from .slate import Slates, why_slate
from .source import Place, Source
from .timeline import Timeline

NOT_DUE: Final = -1
State = Literal["idle", "playing", "slate", "starved"]


class Programme:
    """`state`: «idle» nothing can play now, not even a slate, «starved» the next bytes are not there yet."""

    def __init__(
        self, playlist: Playlist, inputs: LiveInputs, wake: Callable[[], None], start: int = 0, slate: str | None = None
    ) -> None:
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
        self.inputs = inputs
        self._wake = wake
        self._packetiser = Packetiser()
        self._showing: Showing | None = None
        self._ahead = Ahead()
        self._shown: Item | None = None
        """The item last on air; its profile is the slate's."""
        self._slates = Slates(wake, slate)

    @property
    def item(self) -> Item | None:
        """What is on air; None for the slate."""
        return self.held if not self._slates.source else None

    @property
    def slate_reason(self) -> str | None:
        """Why the slate is on air; None when it is not."""
        return self._slates.reason

    @property
    def held(self) -> Item | None:
        """Whose turn it is, on air or behind the slate."""
        return self._showing.item if self._showing else None

    @property
    def place(self) -> Place:
        """Where in the held item we are."""
        return self._showing.place if self._showing else Place()

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
        if self._showing and self._showing.is_live:
            self.inputs.release()
        self._leave()

    def previous(self) -> None:
        """Where there is nothing to go back to the current item begins again."""
        if (item := self.playlist.previous(self.playable) or self.playlist.current) and self.playable(item):
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
        self._shown = self._shown and (self.playlist.find(self._shown.item_id) or self._shown)
        current = self.playlist.current
        self._edit_input()
        if self._showing is None or self._showing.is_live:
            return
        if current and stays and current.failed is None:
            self._showing.source.update(current)
        else:
            self._leave()

    def _edit_input(self) -> None:
        claimed = self.inputs.item
        item = self.playlist.find(claimed.item_id) if claimed else None
        if item is not None and item.live_url is not None:
            self.inputs.claim(item)
        else:
            self.inputs.release()
        if self._showing and self._showing.is_live and self._showing.source.ended:
            self._leave()

    def abandon(self, reason: str) -> None:
        """Something is wrong with what is on air that nobody foresaw."""
        if self._slates.source:
            self._slates.give_up()
        elif self._showing:
            self.failures.add(self._showing.item, reason)
            self.next()

    def close(self) -> None:
        self._ahead.drop()
        self._slates.end()
        self.inputs.release()
        if self._showing:
            self._showing.close()
            self._showing = None

    def playable(self, item: Item) -> bool:
        can_play = item.playable or item.live_url is not None
        return can_play and self.failures.reason(item) is None and self.inputs.may_play(item)

    def spent(self, item: Item) -> bool:
        return self.failures.reason(item) is not None

    # ------------------------------------------------------------------------------------------------ on air

    def _on_air(self) -> Source | LiveSource | None:
        if not self.paused and (live := self.inputs.source_if_ready()):
            self._leave()
            self._slates.end()
            if item := self.playlist.find(live.item.item_id):
                self.playlist.jump(item)  # the list goes on behind it
            self._put(live, Place())
        if self._slates.source and not self._can_return():
            return self._slates.source
        if self._slates.source:
            self._slates.end()
            self._cut()
        if self.paused:
            self.state = "idle"
            return None
        return self._showing.source if self._showing else self._open_next()

    def _can_return(self) -> bool:
        """The slate is on air: whether an item can take over from it."""
        while not self.paused and (source := self._showing.source if self._showing else self._open_next()):
            if source.is_warm:
                return True
            if not self._leave_if_over(source):
                return False
        return False

    def _open_next(self) -> Source | LiveSource | None:
        self.failures.note_planned(self.playlist.items())
        self.state = "idle"
        opening = self.playlist.opening(self.spent)
        if self.inputs.is_expected or (self.patient and opening is not None and not self.playable(opening)):
            return None
        item = self.playlist.advance(self.playable, self.spent)
        if item is None:
            over = self.items_played > 0 and self.inputs.item is None
            self.finished = over and self.playlist.finished(self.spent)
            return None
        return self._start(item, Place(self.playlist.begins_at(item)))

    def _start(self, item: Item, place: Place) -> Source | LiveSource | None:
        """None for a live input: it comes on air by itself, once it sends."""
        self.finished = False
        if item.live_url is not None:
            self.inputs.claim(item)
            return None
        ahead = self._ahead.take(item, self._wake) if place == Place() else None
        return self._put(ahead or Source(item, self._wake, place), place)

    def _put(self, source: Source | LiveSource, place: Place) -> Source | LiveSource:
        self._showing = Showing(source, place)
        if not self._slates.source:
            self._cut()
        return source

    def _cut(self) -> None:
        self.timeline.begin_item()
        self._packetiser.begin_item()

    def _next_packet(self, source: Source | LiveSource, limit: int) -> Packet | None:
        """None: it is not due, or not there. Tags that are not to be sent are passed over."""
        while tag := source.peek():
            if tag.is_media:
                return self._media(source, tag, limit)
            source.pop()
            if packet := self._header(tag):
                return packet
        self.state = "starved"
        return None

    def _media(self, source: Source | LiveSource, tag: Tag, limit: int) -> Packet | None:
        self.state = "slate" if self._slates.source else "playing"
        if self.timeline.is_at_boundary and isinstance(source, Source):
            self.timeline.meet(source.firsts)
        placed = self.timeline.take(tag.kind, tag.timestamp, limit)
        if placed is None:
            self._open_ahead(source)
            return None
        source.pop()
        may_join = not source.has_video or (tag.kind == flv.VIDEO and tag.is_key_frame)
        if self._slates.source:
            self._slates.has_shown = True
        elif self._showing and self._showing.follow(tag, may_join=may_join):
            self._shown, self.began = self._showing.item, self.began + 1
        return self._packetiser.media(tag, placed, may_join=may_join)

    def _header(self, tag: Tag) -> Packet | None:
        payload = flv.live_metadata(tag.payload) if tag.kind == flv.SCRIPT else tag.payload
        if payload is None:
            return None
        return self._packetiser.header(tag.kind, self.timeline.last(tag.kind), payload)

    def _leave_if_over(self, source: Source | LiveSource | None) -> bool:
        if source is None or not source.exhausted:
            return False
        if source is self._slates.source:
            if self._slates.begin_again():
                self._cut()
            return True
        if self._showing and (fault := self._showing.fault):
            self.failures.add(source.item, fault)
        self._leave()
        return True

    def _leave(self) -> None:
        if self._showing:
            self.items_played += self._showing.has_begun
            self._showing.close()
        self._showing = None

    def _go_to(self, item: Item) -> None:
        self.paused = False
        self.inputs.release()
        self._leave()
        self._start(item, Place())

    def _bridge(self, must: int) -> bool:
        """Puts the slate on air where there would be nothing; whether it did."""
        if self._slates.source or self.finished or (self.timeline.end >= must and not self.paused):
            return False
        if (path := self._slates.find(self._shown, self.playlist.upcoming_items(self.spent))) is None:
            return False
        why = why_slate(self.held, self.playlist.items(), self.spent)
        if self._showing and self._showing.is_live:
            self._leave()
        elif self._showing:
            self._showing.go_back_to_key_frame(self._wake)
        self._slates.begin(path, "paused" if self.paused else self.inputs.away() or why)
        self.began += 1
        self._cut()
        return True

    def _open_ahead(self, current: Source | LiveSource) -> None:
        """A file once the current one is read to its end; a live input, which takes its time, some seconds before."""
        if self._slates.source or self._ahead.is_open or not (self._showing and self._showing.is_nearly_over):
            return
        following = self.playlist.upcoming(1, self.playable)
        item = self.playlist.find(following[0]) if following else None
        if item is not None and item.live_url is not None:
            self.inputs.prepare(item)
        elif item is not None and current.ended:
            self._ahead.open(item)
