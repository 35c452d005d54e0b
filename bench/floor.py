"""`floor.c` for a machine without a compiler: paced writes of an FLV's bytes, each tag at its time or tick by tick."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import Final

_HEAD, _TAG = 13, 11
_FRAME_MS: Final = 33


def tags(data: bytes) -> list[tuple[int, int]]:
    """(timestamp in ms, where the tag ends), for each."""
    found = []
    at = _HEAD
    while at + _TAG <= len(data):
        stamp = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        at += _TAG + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        found.append((stamp, at))
    return found


def main(port: int, connections: int, tick_ms: int, lead_ms: int, path: Path) -> None:
    data = path.read_bytes()
    index = tags(data)
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    for sock in socks:
        sock.sendall(data[:_HEAD])
    start = time.monotonic()
    base, at, upcoming, now = 0, _HEAD, 0, 0
    while True:
        began, first = at, upcoming
        while upcoming < len(index) and index[upcoming][0] <= now + lead_ms - base and (tick_ms or upcoming == first):
            at = index[upcoming][1]
            upcoming += 1
        for sock in socks:
            sock.sendall(data[began:at])
        if upcoming == len(index):
            base, at, upcoming = base + index[-1][0] + _FRAME_MS, _HEAD, 0
            continue
        now = now + tick_ms if tick_ms else max(now, index[upcoming][0] + base - lead_ms)
        time.sleep(max(0.0, start + now / 1000 - time.monotonic()))


if __name__ == "__main__":
    port, connections, tick, lead, path = sys.argv[1:]
    main(int(port), int(connections), int(tick), int(lead), Path(path))
