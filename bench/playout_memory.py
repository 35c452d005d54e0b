"""What a stream costs in memory: playouts from the nursery beside playouts of a fresh interpreter each.

    .venv/bin/python -m bench.playout_memory [--streams 20] [--destinations 2] [--seconds 20]

Each plays a clip of 3 Mbit/s to receivers on loopback. PSS is what /proc/PID/smaps_rollup says, shared pages divided
among those who share them; the nursery's own is counted to the streams. The last line is JSON.
"""

# ruff: noqa: ASYNC110 - waiting for conditions of real processes

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.events import Event, PlayoutExited, PlayoutStarted, PlayoutStatus
from agent.nursery import Nursery
from agent.playout.tests.driver import destination, item
from agent.playout.tests.servers import NginxRtmp
from agent.supervisor import Supervisor


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory per stream.")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--destinations", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        clip = _clip(Path(home) / "clip.flv")
        # Sinks, not recorders: what nginx writes is no cost of ours.
        with NginxRtmp(application="record off;") as server:
            found = {}
            for way in ("fresh", "nursery"):
                bench = Bench(Path(home) / way, clip, server.url, options)
                found[way] = asyncio.run(bench.run(Nursery if way == "nursery" else None))
    for way, row in found.items():
        print(
            f"{way:8} {row['mb_per_stream']:6.2f} MB per stream ({row['least']:.2f}–{row['most']:.2f}), nursery "
            f"{row['nursery_mb']:.2f} MB, begun in {row['begun_ms']:.0f} ms, CPU {row['cpu_s']:.2f} s"
        )
    print(json.dumps({way: row["mb_per_stream"] for way, row in found.items()}))


class Bench:
    def __init__(self, home: Path, clip: Path, url: str, options: argparse.Namespace) -> None:
        self.home = home
        self.options = options
        self.events: list[Event] = []
        self.plan: dict[str, Any] = {
            "epoch": 1, "loop": True, "order": "sequential", "reach_private": True,
            "items": [item(1, clip), item(2, clip)],
        }  # fmt: skip
        self.url = url

    async def run(self, nursery_type: type[Nursery] | None) -> dict[str, float]:
        nursery = nursery_type() if nursery_type else None
        supervisor = Supervisor(self.home, self.events.append, nursery=nursery)
        if nursery is not None:
            nursery.warm_up()
            await asyncio.sleep(1)
        try:
            took = [await self._begin(supervisor, number) for number in range(1, self.options.streams + 1)]
            await asyncio.sleep(self.options.seconds)
            return self._measure(nursery, took)
        finally:
            for event in self.events:
                if isinstance(event, PlayoutStarted):
                    os.kill(event.pid, signal.SIGKILL)
            await self._until(PlayoutExited, self.options.streams)
            await supervisor.let_go()
            if nursery is not None:
                nursery.close()

    async def _begin(self, supervisor: Supervisor, number: int) -> float:
        run_id = f"r{number}"
        supervisor.run_dir(run_id).mkdir(parents=True)
        places = [destination(each, self.url, f"k{number}-{each}") for each in range(1, self.options.destinations + 1)]
        supervisor.write_plan(run_id, self.plan | {"stream_id": number, "run_id": run_id, "destinations": places})
        began = time.monotonic()
        supervisor.spawn(number, run_id, resume=False)
        while not any(isinstance(each, PlayoutStatus) and each.run_id == run_id for each in self.events):
            await asyncio.sleep(0.001)
        return time.monotonic() - began

    async def _until(self, kind: type, count: int) -> None:
        while sum(isinstance(each, kind) for each in self.events) < count:
            await asyncio.sleep(0.01)

    def _measure(self, nursery: Nursery | None, took: list[float]) -> dict[str, float]:
        assert not [each for each in self.events if isinstance(each, PlayoutExited)]
        pids = [each.pid for each in self.events if isinstance(each, PlayoutStarted)]
        each_mb = [pss_mb(pid) for pid in pids]
        nursery_mb = pss_mb(nursery.pid) if nursery and nursery.pid else 0.0
        return {
            "mb_per_stream": round((sum(each_mb) + nursery_mb) / len(pids), 2),
            "least": min(each_mb),
            "most": max(each_mb),
            "nursery_mb": nursery_mb,
            "begun_ms": statistics.median(took) * 1000,
            "cpu_s": sum(map(_cpu_s, pids)),
        }


def pss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise LookupError(pid)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _clip(out: Path) -> Path:
    """30 s of noise at 3 Mbit/s: noise, for a picture that compresses would not reach the rate."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25:duration=30,noise=alls=40:allf=t"]
    sound = ["-f", "lavfi", "-i", "sine=frequency=440:duration=30"]
    rate = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-b:v", "3M", "-maxrate", "3M", "-bufsize", "3M"]
    command = ["ffmpeg", "-v", "error", "-nostdin", *picture, *sound, *rate, "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([*command, "-f", "flv", str(out)], check=True)
    return out


if __name__ == "__main__":
    main()
