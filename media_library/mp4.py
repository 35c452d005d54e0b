"""The outer boxes of an MP4 file, and moving its index (`moov`) to the front without touching the media.

A player can begin before it has the whole file only when `moov` comes first. Moving it changes nothing but the
chunk offsets inside it, so picture and sound stay bit for bit what was uploaded.
Files are hostile: lengths are checked against the file, and `moov` is the only box ever held in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from django.utils.translation import gettext as _

from media_library.errors import Unfit

MAX_MOOV: Final = 256 * 1024**2
_MAX_BOXES: Final = 100_000
_COPY_BLOCK: Final = 1024**2
_PARENTS: Final = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_MAX_32: Final = 2**32


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size


@dataclass(frozen=True)
class Layout:
    """The top-level boxes of a file that was found whole."""

    boxes: tuple[Box, ...]

    @property
    def moov(self) -> Box:
        return self._first(b"moov")

    @property
    def needs_move(self) -> bool:
        """Whether media come before the index."""
        return self.moov.start > self._first(b"mdat").start

    def _first(self, kind: bytes) -> Box:
        return next(box for box in self.boxes if box.kind == kind)


def layout(file: BinaryIO, size: int) -> Layout:
    """Walks the top level of a file of `size` bytes. Raises Unfit for what is no MP4 or ends too early."""
    boxes: list[Box] = []
    position = 0
    while position < size:
        box = _box_at(file, position, size, is_first=not boxes)
        if box.end > size:
            raise Unfit(_("The file is cut off: it should go on after its last byte. Upload it again."))
        boxes.append(box)
        position = box.end
        if len(boxes) > _MAX_BOXES:
            raise Unfit(_("The file is not a usable MP4: it has too many parts."))
    _check(boxes)
    return Layout(tuple(boxes))


def _check(boxes: list[Box]) -> None:
    kinds = {box.kind for box in boxes}
    if b"moov" not in kinds:
        raise Unfit(_("The file has no index («moov»): the recording was not finished, or the file is cut off."))
    if b"mdat" not in kinds:
        raise Unfit(_("The file holds no picture and no sound."))
    if next(box for box in boxes if box.kind == b"moov").size > MAX_MOOV:
        raise Unfit(_("The file's index is too large."))


def _box_at(file: BinaryIO, position: int, file_size: int, *, is_first: bool) -> Box:
    file.seek(position)
    head = file.read(16)
    if len(head) < 8:
        raise Unfit(_("The file is cut off: it should go on after its last byte. Upload it again."))
    size, kind = struct.unpack(">I4s", head[:8])
    if is_first and kind not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp"):
        raise Unfit(_("This is not an MP4 video, whatever its name says."))
    if size == 1 and len(head) == 16:
        size = struct.unpack(">Q", head[8:])[0]
    elif size == 0:
        size = file_size - position
    if size < 8:
        raise Unfit(_("The file is damaged: one of its parts has no length."))
    return Box(kind, position, size)


def write_moov_first(source: BinaryIO, target: BinaryIO, found: Layout) -> None:
    """Copies `source` to `target` with `moov` before all media, in blocks of 1 MiB."""
    source.seek(found.moov.start)
    moov = source.read(found.moov.size)
    first = next(box for box in found.boxes if box.kind == b"mdat")
    before = [box for box in found.boxes if box.end <= first.start]
    after = [box for box in found.boxes if box.start >= first.start and box is not found.moov]
    for box in before:
        _copy(source, target, box)
    target.write(_moved(moov, first.start, found.moov))
    for box in after:
        _copy(source, target, box)


def _moved(moov: bytes, media_start: int, old: Box) -> bytes:
    """The index with its chunk offsets pushed back by its own new length (which grows when 32 bits do not do)."""
    is_wide = _largest_offset(moov) + len(moov) >= _MAX_32
    widened = _widen(moov) if is_wide else moov
    growth = len(widened)
    patched = bytearray(widened)
    for kind, start, end in _offset_tables(widened):
        form = ">Q" if kind == b"co64" else ">I"
        step = struct.calcsize(form)
        count = _count(widened, start, end, step)
        values = struct.unpack_from(f">{count}{form[1]}", widened, start + 8)
        shifted = [_shift(value, media_start, old, growth) for value in values]
        struct.pack_into(f">{count}{form[1]}", patched, start + 8, *shifted)
    return bytes(patched)


def _shift(offset: int, media_start: int, old: Box, growth: int) -> int:
    if offset < media_start:
        return offset
    return offset + growth - (old.size if offset >= old.end else 0)


def _largest_offset(moov: bytes) -> int:
    largest = 0
    for kind, start, end in _offset_tables(moov):
        step = 8 if kind == b"co64" else 4
        count = _count(moov, start, end, step)
        largest = max(largest, *struct.unpack_from(f">{count}{'Q' if step == 8 else 'I'}", moov, start + 8), 0)
    return largest


def _count(moov: bytes, start: int, end: int, step: int) -> int:
    if end - start < 8:
        raise Unfit(_("The file's index is damaged."))
    count: int = struct.unpack_from(">I", moov, start + 4)[0]
    if start + 8 + count * step > end:
        raise Unfit(_("The file's index is damaged."))
    return count


def _offset_tables(moov: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each `stco` and `co64`."""
    yield from ((kind, a, b) for kind, a, b in _descend(moov, 0, len(moov)) if kind in (b"stco", b"co64"))


def _descend(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for kind, content, stop in _children(data, start, end):
        yield kind, content, stop
        if kind in _PARENTS:
            yield from _descend(data, content, stop)


def _children(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        header = 8
        if size == 1 and start + 16 <= end:
            size, header = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            raise Unfit(_("The file's index is damaged."))
        yield kind, start + header, start + size
        start += size


def _widen(data: bytes) -> bytes:
    """The same box with every `stco` (32 bits) as `co64`."""
    size, kind = struct.unpack_from(">I4s", data, 0)
    header = 16 if size == 1 else 8
    if kind == b"stco":
        count = _count(data, header, len(data), 4)
        offsets = struct.unpack_from(f">{count}I", data, header + 8)
        content = data[header : header + 8] + struct.pack(f">{count}Q", *offsets)
        return _boxed(b"co64", content)
    if kind not in _PARENTS:
        return data
    parts = [_widen(data[a - h : b]) for _kind, a, b, h in _with_headers(data, header)]
    return _boxed(kind, b"".join(parts))


def _with_headers(data: bytes, start: int) -> Iterator[tuple[bytes, int, int, int]]:
    at = start
    for kind, content, stop in _children(data, start, len(data)):
        yield kind, content, stop, content - at
        at = stop


def _boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def _copy(source: BinaryIO, target: BinaryIO, box: Box) -> None:
    source.seek(box.start)
    left = box.size
    while left:
        block = source.read(min(_COPY_BLOCK, left))
        if not block:
            raise Unfit(_("The file is cut off: it should go on after its last byte. Upload it again."))
        target.write(block)
        left -= len(block)
