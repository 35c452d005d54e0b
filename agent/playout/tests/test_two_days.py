"""48 hours on air, and every edge of the 32 bits of time on the wire, in moments. `bench/playout_long.py` plays the
same hours with real clips.
"""

import asyncio
import gc
import os
from pathlib import Path

import pytest

from agent.playout.flv import AUDIO, VIDEO, Tag

from .simulated import HOUR_MS, Played, Simulation
from .test_flv import HEAD, tag_bytes

TICK_MS = 1000
LONGEST_FRAME_MS = 701
FLAT = 2 * 1024 * 1024


def _slow_clip(path: Path, seconds: int, frame_ms: int) -> Path:
    """A slide show of key frames: two days of it are few enough to play in moments."""
    tags = [Tag(VIDEO, 0, b"\x17\x00____"), Tag(AUDIO, 0, b"\xaf\x00\x11\x90")]
    for stamp in range(0, seconds * 1000, frame_ms):
        tags.append(Tag(VIDEO, stamp, b"\x17\x01" + bytes(40)))
        tags.append(Tag(AUDIO, stamp + 7, b"\xaf\x01" + bytes(20)))
    path.write_bytes(HEAD + b"".join(map(tag_bytes, tags)))
    return path


def _clips(directory: Path) -> list[Path]:
    kinds = [(61, 500), (307, 480), (600, 667), (45, 701)]
    return [_slow_clip(directory / f"{at}.flv", *kind) for at, kind in enumerate(kinds)]


def _play(directory: Path, start: int, hours: int) -> Played:
    async def play() -> Played:
        return await Simulation(_clips(directory), start, TICK_MS).play(hours, _resident)

    return asyncio.run(asyncio.wait_for(play(), 240))


def _resident() -> int:
    """Bytes of this process in memory; what only waits to be collected is no growth."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _all_of_it_was_right(played: Played, start: int, hours: int) -> None:
    heard = played.hearing
    assert heard.last == played.programme_at, "the receiver's time is the programme's"
    for kind in (AUDIO, VIDEO):
        assert 0 <= start + hours * HOUR_MS - heard.last[kind] <= LONGEST_FRAME_MS
        assert heard.longest_step[kind] <= LONGEST_FRAME_MS + 7
        assert heard.messages[kind] > hours * 3600
    assert played.drops == 0


def test_two_days_in_flat_memory_past_two_to_the_24(tmp_path: Path) -> None:
    played = _play(tmp_path, 0, 48)
    assert played.hearing.last[VIDEO] > 2**24
    assert played.items > 48 * 12
    print(f"memory grew by {played.growth(warm_up=2)} bytes")
    assert played.growth(warm_up=2) < FLAT
    _all_of_it_was_right(played, 0, 48)


@pytest.mark.parametrize("edge", [2**24, 2**31, 2**32])
@pytest.mark.parametrize("before_ms", [HOUR_MS // 2, 20])
def test_hours_around_an_edge(tmp_path: Path, edge: int, before_ms: int) -> None:
    start = edge - before_ms
    played = _play(tmp_path, start, 2)
    assert played.hearing.last[VIDEO] > edge
    _all_of_it_was_right(played, start, 2)
