"""Live inputs in the playlist: the one whose turn has come is read all the time, on air while it sends, and comes
back by itself when it has been well for a while.

How the programme uses it: `prepare(item)` when the item is the next one, `claim(item)` when its turn comes; then,
whenever something is pulled and no live source is on air, `source_if_ready()`: not None means leave what is on air
and start this. A source that is `exhausted` is away: go on with the rest of the list, in which `may_play` says no to
live items as long as one is claimed, or with the slate. `release()` when it has had its turn: next, jump, taken off
the list.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from .flv import Tag
from .gate import Gate
from .input_buffer import Buffer
from .input_reader import Reader, Surroundings
from .plan import Item

CONNECTING_S: Final = 5.0


class LiveSource:
    """A live input on air, with the face of a `Source`. `error` stays None: an input that is away has not failed.

    It must be peeked at while it is on air: one that nobody looks at for some seconds ends.
    """

    has_video: Final = True
    offset_ms: Final = 0
    is_warm: Final = True

    def __init__(self, item: Item, buffer: Buffer, wake: Callable[[], None]) -> None:
        self.item = item
        self.error: str | None = None
        self.ended = False
        self.closed = False
        self.peeked = True
        self.wake = wake
        self._buffer = buffer
        buffer.take()

    def peek(self) -> Tag | None:
        self.peeked = True
        return self._buffer.peek()

    def pop(self) -> Tag:
        return self._buffer.pop()

    @property
    def exhausted(self) -> bool:
        return self.ended and not self._buffer

    def update(self, item: Item) -> None:
        self.item = item

    def close(self) -> None:
        """Off air; the input is read on, for the next time."""
        if not self.closed:
            self.closed = self.ended = True
            self._buffer.give_back()
            self._buffer = Buffer()

    def finish(self) -> None:
        """Nothing will be added to what is there."""
        self.ended = True
        self.wake()


class LiveInputs:
    """At most one is read at a time. What may change with the plan comes as a function."""

    def __init__(
        self,
        ffmpeg: Callable[[], str],
        wake: Callable[[], None],
        reach_private: Callable[[], bool],
        ca_file: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._around = Surroundings(ffmpeg, wake, reach_private, ca_file, Gate())
        self._item: Item | None = None
        self._claimed = False
        self._claimed_at = 0.0
        self._reader: Reader | None = None
        self._source: LiveSource | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def item(self) -> Item | None:
        """The one whose turn it is."""
        return self._item if self._claimed else None

    @property
    def is_expected(self) -> bool:
        """Its first attempt is under way, or it has only just stopped sending: worth waiting for a moment before the
        list goes on without it.
        """
        if self._reader is None or not self._claimed:
            return False
        recent = time.monotonic() - self._claimed_at < CONNECTING_S
        return self._reader.is_on or (recent and self._reader.is_connecting)

    def prepare(self, item: Item) -> None:
        """It is the next one: read it, so that it is there when its turn comes."""
        if not self._claimed:
            self._read(item)

    def claim(self, item: Item) -> None:
        """Its turn has come. The same one again: the plan's newer view of it."""
        self._read(item)
        if not self._claimed:
            self._claimed, self._claimed_at = self._item is not None, time.monotonic()

    def release(self) -> None:
        """Its turn is over."""
        reader, self._reader, self._item, self._source = self._reader, None, None, None
        self._claimed = False
        if reader is not None:
            task = asyncio.create_task(reader.stop(), name="leave the live input")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def may_play(self, item: Item) -> bool:
        """False for a live item while one is claimed: it comes by itself, and another would take its place."""
        return item.live_url is None or not self._claimed

    def source_if_ready(self) -> LiveSource | None:
        """A source to put on air now, beginning with a key frame. None while one is on air, or none can be."""
        reader, item = self._reader, self._item
        if reader is None or item is None or not self._claimed or not reader.ready:
            return None
        if self._source is not None and not self._source.exhausted:
            return None
        self._source = LiveSource(item, reader.buffer, self._around.wake)
        reader.taken_by(self._source)
        return self._source

    def status(self) -> dict[str, Any] | None:
        """STATUS's «input»."""
        return self._reader.status() if self._reader and self._claimed else None

    def away(self) -> str | None:
        """Why the one whose turn it is does not play, in words."""
        status = self.status()
        if status is None or self._item is None:
            return None
        if status["state"] == "on":
            return f"the live input «{self._item.title}» has stopped sending"
        if status["state"] == "returning":
            return f"the live input «{self._item.title}» is back and must be stable for a moment"
        return f"the live input «{self._item.title}» is away: {status['reason']}"

    async def close(self) -> None:
        """FFmpeg is gone and reaped afterwards."""
        self.release()
        self._around.gate.close()
        if self._leaving:
            await asyncio.wait(set(self._leaving))

    def _read(self, item: Item) -> None:
        before = self._item
        same = before is not None and (before.item_id, before.live_url) == (item.item_id, item.live_url)
        if not same:
            self.release()
            if item.live_url is None:
                return
            self._reader = Reader(item.item_id, item.live_url, self._around)
        self._item = item
        if self._source is not None:
            self._source.update(item)
