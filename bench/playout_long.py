"""Two days on air in some minutes: pacing off, timestamps on, every byte decoded as a receiver does.

    .venv/bin/python -m bench.playout_long [--hours 48]

Programme, packets and a destination's leg play three real clips of 320×180 (25 and 30 frames a second, sound of 48 and
44.1 kHz) over and over, in the playout's ticks: once from 0 on, past 2^24 ms, and once each from the middle before 2^31
and 2^32 ms. The destination joins anew each hour. Fails when the receiver's time is not the programme's, a timestamp
goes back or leaves a hole, or memory (RSS, after two hours) grows by 2 MB. The last line is JSON; the exit code 1 when
it failed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

from agent.playout.flv import AUDIO, VIDEO
from agent.playout.playout import TICK_S
from agent.playout.tests.clips import clip
from agent.playout.tests.simulated import HOUR_MS, Played, Simulation

WARM_UP_H: Final = 2
FLAT_MB: Final = 2.0
LONGEST_STEP_MS: Final = 180
"""100 ms, and two frames of 40: what B-frames refer to is decoded, and sent, that much before it is shown."""
EDGES: Final = {"2^24": 0, "2^31": 2**31, "2^32": 2**32}
PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def clips() -> list[Path]:
    return [
        clip("a", seconds=61, size="320x180"),
        clip("b", seconds=43, size="320x180", rate=30, sample_rate=44100),
        clip("c", seconds=97, size="320x180", channels=1, b_frames=2),
    ]


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def play(edge: str, hours: int) -> dict[str, Any]:
    start = max(0, EDGES[edge] - hours * HOUR_MS // 2)
    began = time.monotonic()
    simulation = Simulation(clips(), start, round(TICK_S * 1000))
    played = asyncio.run(simulation.play(hours, _measure_aloud(edge, hours)))
    heard = played.hearing
    found = {
        "from_ms": start,
        "to_ms": heard.last[VIDEO],
        "messages": sum(heard.messages.values()),
        "items": played.items,
        "grown_mb": round(played.growth(min(WARM_UP_H, hours - 1)) / 1024**2, 2),
        "longest_step_ms": max(heard.longest_step.values()),
        "took_s": round(time.monotonic() - began),
    }
    return found | {"failed": failures(found, played, start + hours * HOUR_MS)}


def failures(found: dict[str, Any], played: Played, end: int) -> list[str]:
    heard = played.hearing
    checks = {
        "the receiver's time is not the programme's": heard.last != played.programme_at,
        "it does not end when the hours are over": any(abs(end - heard.last[k]) > 100 for k in (AUDIO, VIDEO)),
        "a timestamp went back or left a hole": found["longest_step_ms"] > LONGEST_STEP_MS,
        f"memory grew by more than {FLAT_MB:g} MB": found["grown_mb"] > FLAT_MB,
        "something was dropped": played.drops > 0,
    }
    return [words for words, failed in checks.items() if failed]


def _measure_aloud(edge: str, hours: int) -> Any:
    passed = iter(range(1, hours + 1))

    def measure() -> int:
        now, size = next(passed), resident()
        if now % 6 == 0 or now == hours:
            print(f"past {edge}: {now:3} h, {size / 1024**2:.1f} MB", flush=True)
        return size

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=48)
    args = parser.parse_args()
    found = {edge: play(edge, args.hours) for edge in EDGES}
    for edge, row in found.items():
        print(f"\npast {edge} ms")
        for name, value in row.items():
            print(f"  {name:<16} {value}")
    print("\n" + json.dumps(found, ensure_ascii=False))
    sys.exit(any(row["failed"] for row in found.values()))


if __name__ == "__main__":
    main()
