"""RTMP's chunk layer, both ways. Pure.

A media message is encoded once with a *relative* header (type 1: a delta to the message before on the same
chunk stream) and those bytes go to every destination. Only the first message on a chunk stream after a
connect, or after a gap, has an *absolute* header (type 0), made for that destination alone.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

SET_CHUNK_SIZE: Final = 1
ABORT: Final = 2
DEFAULT_CHUNK_SIZE: Final = 128
OUR_CHUNK_SIZE: Final = 4096  # what most servers announce, and so what FFmpeg, OBS and FMLE write
MAX_MESSAGE: Final = 64 * 1024  # a server has nothing longer to say to a publisher
MAX_CHUNK_STREAMS: Final = 32
_EXTENDED: Final = 0xFFFFFF
_TYPE_1: Final = struct.Struct(">II")


class ChunkError(ValueError):
    """The bytes are not RTMP chunks, or more than a server has a reason to send."""


@dataclass(frozen=True, slots=True)
class Message:
    """`timestamp` in ms modulo 2^32."""

    type_id: int
    timestamp: int
    payload: bytes
    stream_id: int = 0


def absolute(csid: int, message: Message, chunk_size: int = OUR_CHUNK_SIZE) -> bytes:
    """The message with a type 0 header."""
    stamp = message.timestamp & 0xFFFFFFFF
    extended = struct.pack(">I", stamp) if stamp >= _EXTENDED else b""
    head = (
        bytes((csid,))
        + min(stamp, _EXTENDED).to_bytes(3, "big")
        + len(message.payload).to_bytes(3, "big")
        + bytes((message.type_id,))
        + message.stream_id.to_bytes(4, "little")
        + extended
    )
    return _split(head, csid, message.payload, chunk_size, extended)


def relative(csid: int, type_id: int, delta: int, payload: bytes, chunk_size: int = OUR_CHUNK_SIZE) -> bytes:
    """The payload with a type 1 header; `delta` in ms to the message before on this chunk stream."""
    size = len(payload)
    if delta >= _EXTENDED:
        extended = struct.pack(">I", delta & 0xFFFFFFFF)
        head = _TYPE_1.pack((0x40 | csid) << 24 | _EXTENDED, size << 8 | type_id) + extended
        return _split(head, csid, payload, chunk_size, extended)
    head = _TYPE_1.pack((0x40 | csid) << 24 | delta, size << 8 | type_id)
    return head + payload if size <= chunk_size else _split(head, csid, payload, chunk_size, b"")


def _split(head: bytes, csid: int, payload: bytes, chunk_size: int, extended: bytes) -> bytes:
    if len(payload) <= chunk_size:
        return head + payload
    joint = bytes((0xC0 | csid,)) + extended
    pieces = (payload[at : at + chunk_size] for at in range(0, len(payload), chunk_size))
    return head + joint.join(pieces)


@dataclass(slots=True)
class _ChunkStream:
    timestamp: int = 0
    delta: int = 0
    length: int = 0
    type_id: int = 0
    stream_id: int = 0
    extended: bool = False
    payload: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Header:
    csid: int
    size: int  # bytes of the whole header on the wire
    stream: _ChunkStream


class ChunkDecoder:
    """Bytes in, whole messages out; applies Set Chunk Size and Abort itself. `max_message` in bytes."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._max_message = max_message
        self._buffer = bytearray()
        self._streams: dict[int, _ChunkStream] = {}
        self._chunk_size = DEFAULT_CHUNK_SIZE

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by `data`. Raises ChunkError; the decoder is then of no more use."""
        self._buffer += data
        messages: list[Message] = []
        at = 0
        while (step := self._chunk(at, messages)) > 0:
            at += step
        del self._buffer[:at]
        return messages

    def _chunk(self, at: int, messages: list[Message]) -> int:
        """The length of the chunk at `at`, 0 when it is not all there yet."""
        header = self._header(at)
        if header is None:
            return 0
        stream = header.stream
        want = min(self._chunk_size, stream.length - len(stream.payload))
        end = at + header.size + want
        if len(self._buffer) < end:
            return 0
        self._streams[header.csid] = stream
        stream.payload += self._buffer[at + header.size : end]
        if len(stream.payload) >= stream.length:
            messages.append(self._complete(stream))
        return header.size + want

    def _header(self, at: int) -> _Header | None:
        """Read without changing anything: the chunk may have to be read again when more has come."""
        basic = self._basic(at)
        if basic is None:
            return None
        kind, csid, size = basic
        known = self._streams.get(csid)
        if known is None and (kind > 1 or len(self._streams) >= MAX_CHUNK_STREAMS):
            # Type 0 should come first; some servers begin with type 1, and every other client bears it.
            raise ChunkError("a chunk without a beginning" if kind > 1 else "too many chunk streams")
        fixed = (11, 7, 3, 0)[kind]
        raw = bytes(self._buffer[at + size : at + size + fixed + 4])
        extended = raw[:3] == b"\xff\xff\xff" if kind < 3 else bool(known and known.extended)
        if len(raw) < fixed + (4 if extended else 0):
            return None
        stream = _next_stream(kind, raw, fixed, extended, known)
        if stream.length > self._max_message:
            raise ChunkError("a message longer than a server has a reason to send")
        return _Header(csid, size + fixed + (4 if extended else 0), stream)

    def _basic(self, at: int) -> tuple[int, int, int] | None:
        first = self._buffer[at : at + 3]
        if not first:
            return None
        kind, csid = first[0] >> 6, first[0] & 0x3F
        if csid > 1:
            return kind, csid, 1
        if len(first) < csid + 2:
            return None
        return kind, 64 + first[1] + (first[2] << 8 if csid else 0), csid + 2

    def _complete(self, stream: _ChunkStream) -> Message:
        payload = bytes(stream.payload)
        stream.payload = bytearray()
        if stream.type_id == SET_CHUNK_SIZE:
            self._set_chunk_size(payload)
        elif stream.type_id == ABORT and (other := self._streams.get(int.from_bytes(payload[:4], "big"))):
            other.payload = bytearray()
        return Message(stream.type_id, stream.timestamp, payload, stream.stream_id)

    def _set_chunk_size(self, payload: bytes) -> None:
        size = int.from_bytes(payload[:4], "big")
        if len(payload) < 4 or not 1 <= size <= 0x7FFFFFFF:
            raise ChunkError("a chunk size that cannot be")
        self._chunk_size = size


def _next_stream(kind: int, raw: bytes, fixed: int, extended: bool, known: _ChunkStream | None) -> _ChunkStream:
    """What the chunk stream is after this header. A continuation keeps everything."""
    old = known or _ChunkStream()
    if old.payload:
        if kind != 3:
            raise ChunkError("a message begins inside another")
        return old
    new = _ChunkStream(old.timestamp, old.delta, old.length, old.type_id, old.stream_id, extended)
    if kind < 3:
        stamp = int.from_bytes(raw[fixed : fixed + 4] if extended else raw[:3], "big")
        new.delta = stamp if kind else 0
        new.timestamp = old.timestamp if kind else stamp
    if kind < 2:
        new.length, new.type_id = int.from_bytes(raw[3:6], "big"), raw[6]
    if kind == 0:
        new.stream_id = int.from_bytes(raw[7:11], "little")
    new.timestamp = (new.timestamp + new.delta) & 0xFFFFFFFF
    return new
