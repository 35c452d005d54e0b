"""The tags of a live input between FFmpeg and the programme. Pure.

While nobody takes them it keeps the codec headers and what lies behind the key frame to begin with.
"""

from collections import deque
from typing import Final

from . import flv
from .flv import Tag

MOST_BYTES: Final = 32 * 1024 * 1024
_ORDER: Final = (flv.SCRIPT, flv.VIDEO, flv.AUDIO)


class Buffer:
    def __init__(self) -> None:
        self.bytes = 0
        self._tags: deque[Tag] = deque()
        self._first = 0
        """The number of the tag at the front, counted from the first ever added."""
        self._keys: deque[int] = deque()
        self._headers: dict[int, Tag] = {}
        self._taken = False

    def __len__(self) -> int:
        return len(self._tags)

    @property
    def can_begin(self) -> bool:
        return bool(self._keys)

    @property
    def span_ms(self) -> int:
        """From the oldest to the newest."""
        return self._tags[-1].timestamp - self._tags[0].timestamp if self._tags else 0

    @property
    def full(self) -> bool:
        return self.bytes >= MOST_BYTES

    def add(self, tag: Tag) -> None:
        if not self._taken and not self._keys and not tag.is_key_frame:
            self._remember(tag)
            return
        if tag.is_key_frame:
            self._keys.append(self._first + len(self._tags))
        self._tags.append(tag)
        self.bytes += len(tag.payload)

    def trim(self, playhead_ms: int) -> None:
        """Drops what a player at the playhead has behind it; what is too much is dropped whatever it is."""
        if self._taken:
            return
        while len(self._keys) > 1 and self._at(self._keys[1]).timestamp <= playhead_ms:
            self._drop_to(self._keys[1])
        while self.full:
            self._drop_to(self._keys[1] if len(self._keys) > 1 else self._first + len(self._tags))

    def take(self) -> None:
        """From now on `peek` and `pop` give the headers and what follows, beginning with a key frame."""
        self._taken = True
        now = self._tags[0].timestamp if self._tags else 0
        known = [self._headers[kind] for kind in reversed(_ORDER) if kind in self._headers]
        headers = [header._replace(timestamp=now) for header in known]
        self._tags.extendleft(headers)
        self._first -= len(headers)
        self.bytes += sum(len(header.payload) for header in headers)

    def give_back(self) -> None:
        """Nobody takes from it any more: what does not begin with a key frame is of no use."""
        self._taken = False
        self._drop_to(self._keys[0] if self._keys else self._first + len(self._tags))

    def successor(self) -> "Buffer":
        """An empty one that knows the headers in force at the end of this one."""
        following = Buffer()
        following._headers = dict(self._headers)
        for tag in self._tags:
            following._remember(tag)
        return following

    def peek(self) -> Tag | None:
        return self._tags[0] if self._tags else None

    def pop(self) -> Tag:
        tag = self._tags.popleft()
        self._first += 1
        self.bytes -= len(tag.payload)
        if self._keys and self._keys[0] < self._first:
            self._keys.popleft()
        self._remember(tag)
        return tag

    def _at(self, number: int) -> Tag:
        return self._tags[number - self._first]

    def _drop_to(self, number: int) -> None:
        while self._first < number:
            self.pop()

    def _remember(self, tag: Tag) -> None:
        if tag.kind == flv.SCRIPT or tag.is_codec_header:
            self._headers[tag.kind] = tag
