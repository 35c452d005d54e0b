"""Many streams at once for some minutes: is every one of them in real time, to every destination?

    .venv/bin/python -m bench.playout_soak [--streams 150] [--destinations 2] [--seconds 300]

Playouts as an agent starts them, a process each, all with a file of 3 Mbit/s, ten started a second; receivers are one
process on the same machine. Fails when a stream falls behind its clock or its receivers behind the stream, when a
packet is dropped, a connection lost, or a receiver waits over 300 ms. The last line is JSON; the exit code 1 when it
failed.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.playout.flv import FlvParser
from agent.playout.timeline import Timeline
from bench import gauge
from bench.footage import KBPS, footage
from bench.ours import Playouts, destination, status
from bench.sink import Sink
from lab.processes import wait_until

STARTS_A_SECOND: Final = 10
CONNECT_LIMIT_S: Final = 30.0
SETTLE_S: Final = 6.0
"""The burst at the start is over."""
STEP_S: Final = 10.0
MOST_GAP_MS: Final = 300.0
MOST_LATE_S: Final = 0.5
"""A position is known to a tick and a frame."""
MOST_BEHIND_S: Final = 1.5
"""At a receiver: in a window of any phase the file's own rate comes and goes by a second."""


@dataclass(frozen=True, slots=True)
class Clip:
    path: Path
    seconds: float
    """On the line, from one time it begins to the next."""

    @property
    def bytes_per_s(self) -> float:
        return self.path.stat().st_size / self.seconds


@dataclass(frozen=True, slots=True)
class Moment:
    """How far a stream is, in seconds of its own media, and when that was so."""

    at: float
    media_s: float


def measure_clip(path: Path) -> Clip:
    line = Timeline()
    for tag in FlvParser().feed(path.read_bytes()):
        if tag.is_media:
            line.commit(tag.kind, tag.timestamp)
    return Clip(path, line.end / 1000)


def moment(run_dir: Path, clip: Clip) -> Moment:
    said = status(run_dir)
    return Moment(said["written_at"], said["items_played"] * clip.seconds + said["position_s"])


class Soak:
    def __init__(self, clip: Clip, streams: int, destinations: int, sink: Sink, playouts: Playouts) -> None:
        self._clip, self._streams, self._destinations = clip, streams, destinations
        self._sink, self._playouts = sink, playouts
        self._wanted = streams * destinations

    def start(self) -> None:
        for stream in range(self._streams):
            keys = [f"s{stream}d{number}" for number in range(self._destinations)]
            places = [destination(n, self._sink.url(), key) for n, key in enumerate(keys, 1)]
            self._playouts.start(stream, self._clip.path, places)
            time.sleep(1 / STARTS_A_SECOND)
        what = f"{self._wanted} connections"
        wait_until(lambda: len(self._sink.open()) >= self._wanted, what, CONNECT_LIMIT_S, every_s=0.5)
        time.sleep(SETTLE_S)

    def run(self, seconds: float) -> dict[str, Any]:
        pids = gauge.tree(self._playouts.pids)
        before = self._moments()
        used, busy = gauge.cpu_s(pids), gauge.machine_busy_s()
        self._sink.mark()
        began = time.monotonic()
        while (left := seconds - (time.monotonic() - began)) > 0:
            time.sleep(min(STEP_S, left))
            self._tell(time.monotonic() - began)
        got, length = self._sink.report(), time.monotonic() - began
        used, busy = gauge.cpu_s(pids) - used, gauge.machine_busy_s() - busy
        open_ones = [each for each in got if each.published and not each.closed]
        rate = self._clip.bytes_per_s
        late = [(b.at - a.at) - (b.media_s - a.media_s) for a, b in zip(before, self._moments(), strict=True)]
        return {
            "streams": self._streams,
            "destinations": self._destinations,
            "seconds": round(length, 1),
            "connections": len(open_ones),
            "connections_ever": len(got),
            "late_s": round(max(late), 2),
            "behind_s": round(max(length - each.bytes / rate for each in open_ones), 2),
            "max_gap_ms": round(max(each.gap_ms for each in open_ones)),
            "drops": sum(self._drops()),
            "cores": round(used / length, 2),
            "cores_machine": round(busy / length, 2),
            "cpu_s_per_stream_min": round(used / length * 60 / self._streams, 3),
            "pss_mb_per_stream": round(gauge.pss_mb(pids) / self._streams, 1),
        }

    def _tell(self, passed: float) -> None:
        got = self._sink.open()
        mbit = sum(each.bytes for each in got) * 8 / 1e6 / passed
        gap = max((each.gap_ms for each in got), default=0.0)
        print(f"{passed:5.0f} s: {len(got)} connections, {mbit:.0f} Mbit/s, longest gap {gap:.0f} ms", flush=True)

    def _moments(self) -> list[Moment]:
        return [moment(run_dir, self._clip) for run_dir in self._playouts.dirs]

    def _drops(self) -> list[int]:
        return [place["drops"] for run_dir in self._playouts.dirs for place in status(run_dir)["destinations"]]


def failures(found: dict[str, Any]) -> list[str]:
    wanted = found["streams"] * found["destinations"]
    checks = {
        f"{wanted} connections are not all that there ever were": found["connections_ever"] != wanted,
        "a connection was lost": found["connections"] != wanted,
        f"a stream fell more than {MOST_LATE_S} s behind the clock": found["late_s"] > MOST_LATE_S,
        f"a receiver fell more than {MOST_BEHIND_S} s behind": found["behind_s"] > MOST_BEHIND_S,
        f"a receiver waited over {MOST_GAP_MS:.0f} ms": found["max_gap_ms"] > MOST_GAP_MS,
        "packets were dropped": found["drops"] > 0,
    }
    return [words for words, failed in checks.items() if failed]


def raise_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed, {hard} are allowed (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=150)
    parser.add_argument("--destinations", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=300)
    args = parser.parse_args()
    raise_file_limit(args.streams * args.destinations + 200)
    with tempfile.TemporaryDirectory(prefix="ezb-") as home, Sink() as sink, Playouts(Path(home)) as playouts:
        print(f"{args.streams} streams × {args.destinations} destinations, {KBPS} kbit/s, {args.seconds:g} s")
        soak = Soak(measure_clip(footage(Path(home))), args.streams, args.destinations, sink, playouts)
        soak.start()
        found = soak.run(args.seconds)
    found["failed"] = failures(found)
    for name, value in found.items():
        print(f"{name:<22} {value}")
    print(json.dumps(found, ensure_ascii=False))
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()
