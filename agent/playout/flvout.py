"""Packets as an FLV stream, for a program that reads one. Pure."""

import struct
from collections.abc import Iterable
from typing import Final

from . import amf, flv
from .packets import Packet

HEAD: Final = b"FLV\x01\x05" + struct.pack(">II", 9, 0)
_SET_DATA_FRAME: Final = amf.encode("@setDataFrame")


def tag(kind: int, timestamp: int, payload: bytes) -> bytes:
    if kind == flv.SCRIPT:
        payload = payload.removeprefix(_SET_DATA_FRAME)
    stamp = timestamp & 0xFFFFFFFF
    size = len(payload)
    head = bytes((kind,)) + size.to_bytes(3, "big") + (stamp & 0xFFFFFF).to_bytes(3, "big") + bytes((stamp >> 24,))
    return head + b"\0\0\0" + payload + struct.pack(">I", flv.TAG_HEADER + size)


def tags(packets: Iterable[Packet]) -> bytes:
    return b"".join(tag(packet.kind, packet.timestamp, packet.payload) for packet in packets)


def preamble(packet: Packet) -> bytes:
    """Metadata and codec headers, at the time of the packet they come before."""
    payloads = packet.preamble.payloads if packet.preamble else ()
    return b"".join(tag(kind, packet.timestamp, payload) for kind, payload in payloads)
