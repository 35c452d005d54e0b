"""One item being read: 256 KiB at a time in a thread, ahead of what is on air, also from a growing file."""

import asyncio
import io
import logging
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from . import flv
from .flv import FlvError, FlvParser, Tag
from .plan import Item

BLOCK: Final = 1 << 18
PIECE: Final = 1 << 15
"""What is bigger than 64 or 128 KiB malloc takes from the kernel anew each time, and fresh pages cost more than what is
read into them.
"""
GROWTH_POLL_S: Final = 0.2
ARRIVAL_LIMIT_S: Final = 15.0
"""So long the position to begin at is waited for while the file arrives, with the slate on air; then what is there."""
WARM_MS: Final = 1000
"""So much of an item must be there before it takes over from the slate: it would be back in a moment otherwise."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where to begin in a file: at the last key frame that is not after `position_ms`. `offset`: a key frame's tag not
    after it, which saves looking from the beginning on.
    """

    position_ms: int = 0
    offset: int = 0


class Source:
    """`peek` and `pop` never wait; `wake` is called whenever there is something new to peek at.

    `offset_ms` is where in the file its first tag is, when it does not begin at the beginning.
    """

    def __init__(self, item: Item, wake: Callable[[], None], place: Place = Place()) -> None:
        self.item = item
        self.error: str | None = None
        self.ended = False
        self.has_video = True
        self.offset_ms = 0
        self._place = place
        self.wake = wake
        self._tags: deque[Tag] = deque()
        self._bytes_ahead = 0
        self._complete = item.complete
        self._hungry = asyncio.Event()
        self._task = asyncio.create_task(self._read(), name=f"read {item.file_id}")
        self._task.add_done_callback(self._done)

    def peek(self) -> Tag | None:
        return self._tags[0] if self._tags else None

    def pop(self) -> Tag:
        tag = self._tags.popleft()
        self._bytes_ahead -= len(tag.payload)
        if self._bytes_ahead < BLOCK // 2:
            self._hungry.set()
        return tag

    @property
    def firsts(self) -> dict[int, int]:
        """The first timestamp of each track, of what is read."""
        found: dict[int, int] = {}
        for tag in self._tags:
            if tag.is_media:
                found.setdefault(tag.kind, tag.timestamp)
            if len(found) == 2:
                break
        return found

    @property
    def exhausted(self) -> bool:
        """Nothing more will come: read to the end, or not readable any further."""
        return self.ended and not self._tags

    @property
    def is_warm(self) -> bool:
        """There is enough of it to go on air without stopping at once."""
        first = next((tag for tag in self._tags if tag.is_media), None)
        if first is None:
            return False
        return self.ended or self._tags[-1].timestamp - first.timestamp >= WARM_MS

    def update(self, item: Item) -> None:
        """The plan's newer view of the same item: its file may be complete now."""
        self.item = item
        self._complete = item.complete
        self._hungry.set()

    def close(self) -> None:
        self._task.cancel()

    async def _read(self) -> None:
        try:
            await self._read_file()
        except FlvError as error:
            self.error = str(error)
        except OSError as error:
            self.error = f"the file cannot be read: {error.strerror or type(error).__name__}"

    def _done(self, task: asyncio.Task[None]) -> None:
        """The item is over where its tags end, whatever ended the reading; an unforeseen error is a bug."""
        if task.cancelled():
            return
        if bug := task.exception():
            log.error("internal error", exc_info=bug, extra={"file_id": self.item.file_id})
            self.error = f"internal error ({type(bug).__name__})"
        self.ended = True
        self.wake()

    async def _read_file(self) -> None:
        loop = asyncio.get_running_loop()
        file = await loop.run_in_executor(_reader, open_unbuffered, self.item.path)
        try:
            parser = await self._seek(file)
            await self._follow(file, parser)
            self._take(parser, [b""])
        finally:
            _reader.submit(file.close)  # after the read that may be under way, in the same thread

    async def _seek(self, file: io.FileIO) -> FlvParser:
        if self._place.position_ms <= 0:
            return FlvParser()
        loop = asyncio.get_running_loop()
        start = await self._find(self._place)
        await loop.run_in_executor(_reader, file.seek, start.offset)
        self.has_video, self.offset_ms = start.has_video, start.position_ms
        self._add(start.headers)
        return FlvParser(start.offset)

    async def _find(self, place: Place) -> "Start":
        """Of a file that is still being written, what is there once there is enough, or no time left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ARRIVAL_LIMIT_S
        while True:
            complete = self._complete
            start = await loop.run_in_executor(_reader, find_start, self.item.path, place)
            if complete or start.reaches or loop.time() >= until:
                return start
            await asyncio.sleep(GROWTH_POLL_S)

    async def _follow(self, file: io.FileIO, parser: FlvParser) -> None:
        loop = asyncio.get_running_loop()
        while True:
            complete = self._complete
            pieces = await loop.run_in_executor(_reader, read_pieces, file)
            if pieces:
                self._take(parser, pieces)
                await self._until_hungry()
            elif complete:
                return
            else:
                await asyncio.sleep(GROWTH_POLL_S)

    async def _until_hungry(self) -> None:
        while self._bytes_ahead >= BLOCK // 2:
            self._hungry.clear()
            await self._hungry.wait()

    def _take(self, parser: FlvParser, pieces: list[bytes]) -> None:
        for piece in pieces:  # one by one: the tags before damage are good
            self._add(parser.feed(piece))
        if self._place.position_ms <= 0:
            self.has_video = parser.has_video

    def _add(self, tags: list[Tag]) -> None:
        self._tags.extend(tags)
        self._bytes_ahead += sum(len(tag.payload) for tag in tags)
        if tags:
            self.wake()


_reader = ThreadPoolExecutor(1, "reader")


def read_pieces(file: io.FileIO) -> list[bytes]:
    """The next BLOCK or less, nothing at the end of what there is."""
    pieces: list[bytes] = []
    while len(pieces) < BLOCK // PIECE and (piece := file.read(PIECE)):
        pieces.append(piece)
    return pieces


def open_unbuffered(path: str) -> io.FileIO:
    return io.FileIO(path, "r")


class Start:
    """Where to begin in the middle of a file: the headers in force there and the offset of the key frame's
    tag.
    """

    def __init__(self, offset: int, has_video: bool) -> None:
        self.offset = offset
        self.has_video = has_video
        self.position_ms = 0
        self.reaches = False
        """There is something behind the position."""
        self.headers: list[Tag] = []


def find_start(path: str, place: Place) -> Start:
    """The last key frame (without video: the last tag) not after the position. Reads only the tags' heads.

    Raises OSError, FlvError. Positions past the end give the last key frame.
    """
    with open(path, "rb") as file:
        offset, has_video = flv.read_file_head(file.read(9))
        start = Start(offset, has_video)
        pending: list[Tag] = []
        origin: int | None = None
        while len(head := _head_at(file, offset)) == flv.TAG_HEADER + 2:
            tag = flv.read_tag_head(head)
            payload = head[flv.TAG_HEADER :]
            if tag.kind == flv.SCRIPT or flv.is_codec_header(tag.kind, payload):
                file.seek(offset + flv.TAG_HEADER)
                pending.append(Tag(tag.kind, tag.timestamp, file.read(tag.size)))
            elif flv.is_playable(tag.kind, payload + bytes(4)):
                if origin is None:
                    origin = tag.timestamp
                    if _is_key_frame_at(file, place.offset):
                        offset = place.offset
                        continue
                if tag.timestamp - origin > place.position_ms:
                    start.reaches = True
                    break
                if not has_video or Tag(tag.kind, tag.timestamp, payload).is_key_frame:
                    start.offset, start.position_ms = offset, tag.timestamp - origin
                    start.headers += pending
                    pending = []
            offset += flv.TAG_HEADER + tag.size + 4
    return start


def _is_key_frame_at(file: io.BufferedReader, offset: int) -> bool:
    """The file may be another one than the offset is of."""
    head = _head_at(file, offset) if offset else b""
    if len(head) < flv.TAG_HEADER + 2:
        return False
    try:
        kind, size, stamp = flv.read_tag_head(head)
    except FlvError:
        return False
    file.seek(offset + flv.TAG_HEADER + size)
    ends_there = file.read(4) == (flv.TAG_HEADER + size).to_bytes(4, "big")
    return ends_there and Tag(kind, stamp, head[flv.TAG_HEADER :]).is_key_frame


def _head_at(file: io.BufferedReader, offset: int) -> bytes:
    file.seek(offset, os.SEEK_SET)
    return file.read(flv.TAG_HEADER + 2)
