"""The newest key frame on air as an FLV of one frame, for whoever wants to make a picture of it. Pure."""

from typing import Final

from . import flv
from .packets import Packet

NAME: Final = "still.flv"
EVERY_S: Final = 10.0
_FILE_HEADER: Final = b"FLV\x01\x01\x00\x00\x00\x09" + bytes(4)


def newest_key_frame(packets: list[Packet]) -> Packet | None:
    """The last packet a decoder could begin with; None when there is none among them."""
    return next((each for each in reversed(packets) if _is_key_frame(each)), None)


def as_flv(key_frame: Packet) -> bytes:
    """The frame behind the codec header in force, both at time 0."""
    headers = dict(key_frame.preamble.payloads) if key_frame.preamble else {}
    header = headers.get(flv.VIDEO)
    return _FILE_HEADER + (_tag(header) if header else b"") + _tag(key_frame.payload)


def _is_key_frame(packet: Packet) -> bool:
    return packet.preamble is not None and packet.kind == flv.VIDEO and packet.payload[0] >> 4 == 1


def _tag(payload: bytes) -> bytes:
    size = len(payload)
    return bytes((flv.VIDEO,)) + size.to_bytes(3, "big") + bytes(7) + payload + (size + 11).to_bytes(4, "big")
