"""What is on air since the newest key frame, for a destination that comes back in the middle of it. Pure."""

from typing import Final

from .packets import Packet

LARGEST: Final = 4 * 1024 * 1024
"""Bytes. Longer ones are not kept: who comes back waits for the next key frame."""


class Gop:
    """`packets` begin where a destination may join; empty while there is nothing to begin with."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self._size = 0

    def add(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.preamble is not None:
                self.packets, self._size = [packet], len(packet.payload)
            elif self.packets:
                self.packets.append(packet)
                self._size += len(packet.payload)
        if self._size > LARGEST:
            self.packets, self._size = [], 0
