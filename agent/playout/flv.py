"""FLV tags out of bytes that come in pieces. Pure."""

import struct
from typing import Final, NamedTuple

from . import amf

AUDIO: Final = 8
VIDEO: Final = 9
SCRIPT: Final = 18
TAG_HEADER: Final = 11
LARGEST: Final = 1 << 20
"""Bytes of one frame that servers take: at one more nginx-rtmp, as it is installed, ends the connection."""
_TAG_HEAD: Final = struct.Struct(">II3s")
_KINDS: Final = frozenset((AUDIO, VIDEO, SCRIPT))
_AVC, _AAC = 7, 10
_END_OF_SEQUENCE = 2
_LIVE_FACTS: Final = frozenset(
    {
        "width",
        "height",
        "framerate",
        "videodatarate",
        "videocodecid",
        "audiodatarate",
        "audiosamplerate",
        "audiosamplesize",
        "stereo",
        "audiochannels",
        "audiocodecid",
        "encoder",
    }
)


class FlvError(ValueError):
    """The bytes are not FLV; the text says where."""


class TooLargeError(FlvError):
    """They are, and no server would take them."""


class Tag(NamedTuple):
    """`timestamp` in ms (for video the decoding time), not negative; `offset` of its head in the file."""

    kind: int
    timestamp: int
    payload: bytes
    offset: int = 0

    @property
    def is_codec_header(self) -> bool:
        return is_codec_header(self.kind, self.payload)

    @property
    def is_media(self) -> bool:
        kind, _, payload, _ = self
        return kind != SCRIPT and (payload[1:2] != b"\x00" or not is_codec_header(kind, payload))

    @property
    def is_key_frame(self) -> bool:
        return self.kind == VIDEO and self.payload[0] >> 4 == 1 and not self.is_codec_header


def is_codec_header(kind: int, payload: bytes) -> bool:
    """AVCDecoderConfigurationRecord or AudioSpecificConfig; the first two bytes of the payload are enough."""
    if kind == VIDEO:
        return payload[0] & 0x0F == _AVC and payload[1:2] == b"\x00"
    return kind == AUDIO and payload[0] >> 4 == _AAC and payload[1:2] == b"\x00"


def is_playable(kind: int, payload: bytes) -> bool:
    """False for what must not be sent on: an empty tag, an empty AudioSpecificConfig (FFmpeg sends one
    when it does not know it yet), the end of the sequence (it would stop the receiver's decoder at an item
    boundary).
    """
    if not payload:
        return False
    if kind == VIDEO and payload[0] & 0x0F == _AVC:
        return len(payload) > 5 and payload[1] != _END_OF_SEQUENCE
    if kind == AUDIO and payload[0] >> 4 == _AAC:
        return len(payload) > 2
    return True


class TagHead(NamedTuple):
    kind: int
    size: int
    timestamp: int


def read_tag_head(data: bytes, at: int = 0) -> TagHead:
    """From the eleven bytes at `at`. Raises FlvError."""
    kind = data[at]
    stamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
    if kind not in (AUDIO, VIDEO, SCRIPT) or data[at + 8 : at + 11] != b"\0\0\0":
        raise FlvError("damaged")
    return TagHead(kind, int.from_bytes(data[at + 1 : at + 4], "big"), stamp)


def read_file_head(data: bytes) -> tuple[int, bool]:
    """(where the first tag begins, whether there is video), from the first nine bytes. Raises FlvError."""
    offset = int.from_bytes(data[5:9], "big")
    if data[:3] != b"FLV" or not 9 <= offset <= 1024:
        raise FlvError("not an FLV file")
    return offset + 4, bool(data[4] & 1)


class _DamagedError(Exception):
    """`reason` when it is not plain damage."""

    def __init__(self, at: int, reason: FlvError | None = None) -> None:
        super().__init__()
        self.at = at
        self.reason = reason


class FlvParser:
    """Feed it blocks of any size; a tag cut off at the end of the data is never given out."""

    def __init__(self, body_at: int | None = None) -> None:
        """`body_at`: the first bytes are those of a tag at that offset of the file, not of its head."""
        self.has_video = True
        self._buffer = bytearray()
        self._wanted = 0
        """So many bytes are needed before there is a tag in the buffer."""
        self._in_body = body_at is not None
        self._consumed = body_at or 0

    def feed(self, data: bytes) -> list[Tag]:
        """The tags completed by `data`, only those to be sent on.

        Raises FlvError when the next bytes are no tag; the good tags before them were given out by the call
        before, so at the end of the data `feed(b"")` tells whether they end in damage.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._wanted:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        tags: list[Tag] = []
        at = self._file_head(data)
        try:
            at = self._take(data, at, tags) if self._in_body else at
        except _DamagedError as error:
            at = error.at
            if not tags:
                self._buffer += data[at:]
                raise error.reason or FlvError(f"the file is damaged at byte {self._consumed + at}") from error
        self._buffer += data[at:]
        self._consumed += at
        return tags

    def _file_head(self, data: bytes) -> int:
        if self._in_body:
            return 0
        if len(data) < 9:
            self._wanted = 9
            return 0
        offset, self.has_video = read_file_head(data)
        self._in_body = len(data) >= offset
        self._wanted = offset
        return offset if self._in_body else 0

    def _take(self, data: bytes, at: int, tags: list[Tag]) -> int:
        """Where the first tag begins that is not all there. One loop without calls: every byte on air comes by here."""
        size, offset = len(data), self._consumed
        self._wanted = TAG_HEADER
        while (begin := at + TAG_HEADER) <= size:
            word, stamp, stream_id = _TAG_HEAD.unpack_from(data, at)
            kind, length = word >> 24, word & 0xFFFFFF
            end = begin + length
            if kind not in _KINDS or stream_id != b"\0\0\0":
                raise _DamagedError(at)
            if end + 4 > size:
                self._wanted = TAG_HEADER + length + 4
                break
            if int.from_bytes(data[end : end + 4], "big") != TAG_HEADER + length:
                raise _DamagedError(at)
            if length > LARGEST:
                what = "picture" if kind == VIDEO else "frame"
                raise _DamagedError(at, TooLargeError(f"a {what} is larger than servers take"))
            payload = data[begin:end]
            if is_playable(kind, payload):
                tags.append(Tag(kind, stamp >> 8 | (stamp & 0xFF) << 24, payload, offset + at))
            at = end + 4
        return at


def live_metadata(payload: bytes) -> bytes | None:
    """The payload of a script tag as `@setDataFrame onMetaData` for the wire, None when it is something else.

    What is true of the file and not of the stream (its length, its index) is left out.
    """
    try:
        values = amf.decode(payload)
    except amf.AmfError:
        return None
    if len(values) < 2 or values[0] != "onMetaData" or not isinstance(values[1], dict):
        return None
    facts = {name: value for name, value in values[1].items() if name in _LIVE_FACTS}
    return amf.encode("@setDataFrame", "onMetaData", amf.EcmaArray(facts))
