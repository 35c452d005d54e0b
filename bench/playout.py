"""What it costs to bring streams to their destinations: ours beside the usual designs and the floor.

    .venv/bin/python -m bench.playout [--streams 10] [--destinations 4] [--seconds 60] [--only ours,floor]

One design after another on this machine, all with the same file of 3 Mbit/s, to receivers in one process that is not
counted. CPU: user and system seconds of a design's processes and their children, in a steady window; memory: PSS at
its end. The last line is JSON. `bench/playout_soak.py` and `bench/playout_faults.py` ask what it bears.

Two floors, programs in C that do nothing else (one process for all, no process per stream). «floor» is the same bytes
at the same pace: each tag to each connection when it is due. «floor_ticks» writes as seldom as our playouts do, all
that became due in a tick at once, which saves most system calls and is what a playout could come down to.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bench import gauge
from bench.designs import DESIGNS, TITLES, Design, Task
from bench.footage import KBPS, footage
from bench.ours import drops
from bench.sink import Sink
from lab.processes import wait_until

SETTLE_S: Final = 6.0
"""The burst at the start is over, and so is what a process does once."""
STREAMS_FOR_MEMORY: Final = 20
CONNECT_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """`cpu` in seconds per stream and minute; `pace` is what arrived of what the file's rate promises."""

    cpu: float
    pss_mb: float
    max_gap_ms: float
    pace: float
    drops: int


def measure(design: Design, task: Task, seconds: float) -> Cost:
    wanted = task.streams * task.destinations
    with tempfile.TemporaryDirectory(prefix="ezb-") as home, Sink() as sink:
        task = replace(task, home=Path(home))
        with design(task, sink) as work:
            wait_until(lambda: len(sink.open()) >= wanted, f"{wanted} connections", CONNECT_LIMIT_S, every_s=0.2)
            time.sleep(SETTLE_S)
            sink.mark()
            pids = gauge.tree(work())
            before, began = gauge.cpu_s(pids), time.monotonic()
            time.sleep(seconds)
            used, length = gauge.cpu_s(pids) - before, time.monotonic() - began
            got = sink.open()
            if len(got) != wanted or gauge.tree(work()) != pids:
                raise SystemExit("a connection or a process came or went while it was measured")
            pace = min(each.bytes for each in got) * 8 / 1000 / length / KBPS
            gap = max(each.gap_ms for each in got)
            lost = drops(task.home)
            return Cost(used / length * 60 / task.streams, gauge.pss_mb(pids) / task.streams, gap, pace, lost)


def figures(costs: dict[str, Cost], memory: Cost | None) -> dict[str, Any]:
    ours = costs.get("ours")
    if ours is None:
        return {}
    found: dict[str, Any] = {
        f"cpu_vs_{name}": round(ours.cpu / costs[name].cpu, 3)
        for name in ("floor", "floor_ticks", "ffmpeg", "nginx_push", "tee")
        if name in costs
    }
    found["pss_mb_per_stream"] = round((memory or ours).pss_mb, 1)
    found["max_gap_ms"] = round(ours.max_gap_ms)
    found["drops"] = ours.drops
    return found


def show(name: str, cost: Cost) -> None:
    print(
        f"{TITLES[name]:<40} {cost.cpu:8.3f} {cost.pss_mb:10.1f} {cost.max_gap_ms:8.0f} {cost.pace:8.2f}"
        f" {cost.drops:6}",
        flush=True,
    )


def run(task: Task, seconds: float, names: list[str]) -> dict[str, Any]:
    print(f"{task.streams} streams × {task.destinations} destinations, {KBPS} kbit/s, {seconds:g} s each")
    print(f"{'':<40} {'CPU s':>8} {'MB PSS':>10} {'longest':>8} {'pace':>8} {'drops':>6}")
    print(f"{'':<40} {'/str/min':>8} {'/stream':>10} {'gap ms':>8}")
    costs = {}
    for name in names:
        costs[name] = measure(DESIGNS[name], task, seconds)
        show(name, costs[name])
    memory = None
    if "ours" in names:
        memory = measure(DESIGNS["ours"], replace(task, streams=STREAMS_FOR_MEMORY), min(seconds, 10))
        print(f"ours at {STREAMS_FOR_MEMORY} streams: {memory.pss_mb:.1f} MB PSS per stream")
    return figures(costs, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=10)
    parser.add_argument("--destinations", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--only", default=",".join(DESIGNS), help=f"of {', '.join(DESIGNS)}")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ezb-") as home:
        task = Task(args.streams, args.destinations, footage(Path(home)), Path(home))
        print(json.dumps(run(task, args.seconds, args.only.split(","))))


if __name__ == "__main__":
    main()
