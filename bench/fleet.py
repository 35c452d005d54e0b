"""A fleet of simulated agents against the real control plane: PostgreSQL, Redis, web, listener, workers, scheduler.

    .venv/bin/python -m bench.fleet --agents 1000 --streams 10 [--sockets 100] [--seconds 60]
    .venv/bin/python -m bench.fleet --scaling            # 100, 300 and 1,000 agents side by side
    .venv/bin/python -m bench.fleet --starts 200         # 200 starts in one second on 100 VPSes

The last line is JSON. What is measured:

lag              from publishing a heartbeat until another connection to the database sees that it was applied (its
                 VPS's row is written after all its runs were dealt with); of fifty VPSes, looked at every 25 ms.
listener_cores   CPU seconds of the listener's process (/proc) by seconds passed. `postgres_cores` and the others too.
event_to_socket  from the agent's message to the frame at a WebSocket client of a stream's page.
resync           from `kill -9` of the listener until every run and VPS was heard of again, by the database. Its
                 supervisor waits a second before it starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from bench import gauge
from bench.fleet_agents import Agent, Fleet
from bench.fleet_pages import Pages
from bench.fleet_rows import FINGERPRINT
from bench.fleet_starts import starts
from lab.ports import free_port
from lab.postgres import Postgres
from lab.processes import end_on_signals
from lab.product import PYTHON, ROOT, Plan, Product

SAMPLED: Final = 50
LOOK_S: Final = 0.025
WARM_UP_S: Final = 15.0
RESYNC_LIMIT_S: Final = 120.0
SCALES: Final = (100, 300, 1000)
COUNTED: Final = ("listener", "web", "worker", "scheduler")


@dataclass(frozen=True)
class Stage:
    """The product with its rows, ready for agents."""

    product: Product
    postgres: Postgres
    facts: dict[str, Any]

    @property
    def redis_url(self) -> str:
        return self.product.env["REDIS_URL"]

    def pid(self, name: str) -> int:
        return self.product.supervisor.children[name].pid

    def cpu_s(self) -> dict[str, float]:
        used = {name: gauge.cpu_s(gauge.tree([self.pid(name)])) for name in COUNTED}
        server = self.postgres.pid
        return used | {"postgres": gauge.cpu_s(gauge.tree([server])), "bench": gauge.cpu_s([os.getpid()])}


@contextmanager
def staged(agents: int, streams: int, **more: int) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="ezf-") as home, Postgres() as postgres:
        # As in production: no debugging, and nothing said of each message.
        surroundings = {
            **os.environ, "DATABASE_URL": postgres.url, "DEBUG": "0", "STATIC_MANIFEST": "0", "LOG_LEVEL": "WARNING"
        }  # fmt: skip
        plan = Plan(
            home=Path(home), web_port=free_port(), rtmp_port=0, platform_port=0, agents=0, demo=False,
            start_demo=False, ingest={"none": "rtmp://127.0.0.1/none"}, environ=surroundings,
        )  # fmt: skip
        with Product(plan) as product:
            options = [part for name, value in more.items() for part in (f"--{name}", str(value))]
            command = [PYTHON, "-m", "bench.fleet_rows", "--agents", str(agents), "--streams", str(streams), *options]
            made = subprocess.run(command, cwd=ROOT, env=product.env, check=True, stdout=subprocess.PIPE, text=True)
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                connection.execute("ANALYZE")
            yield Stage(product, postgres, json.loads(made.stdout.splitlines()[-1]))


# ------------------------------------------------------------------------------------------------ lag


class Lag:
    """Watches the rows of some VPSes for the numbers of their heartbeats."""

    def __init__(self, url: str, fleet: Fleet) -> None:
        self.seconds: list[float] = []
        self._url, self._fleet = url, fleet
        some = list(fleet.agents)[:: max(1, len(fleet.agents) // SAMPLED)][:SAMPLED]
        fleet.sent = {vps_id: {} for vps_id in some}

    async def run(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            while True:
                rows = await connection.execute(
                    "SELECT id, network_mbit FROM fleet_vps WHERE id = ANY(%s)", [list(self._fleet.sent)]
                )
                self._note(await rows.fetchall(), time.monotonic())
                await asyncio.sleep(LOOK_S)

    def _note(self, rows: list[tuple[Any, ...]], at: float) -> None:
        for vps_id, seen in rows:
            waiting = self._fleet.sent[vps_id]
            for seq in [seq for seq in waiting if seq <= (seen or 0)]:
                self.seconds.append(at - waiting.pop(seq))


def percentile(values: list[float], share: float) -> float | None:
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 3) if values else None


# ------------------------------------------------------------------------------------------------ one measurement


@asynccontextmanager
async def going(*jobs: Any) -> AsyncIterator[None]:
    """Jobs that never end by themselves; one that fails ends it all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job) for job in jobs]
        yield
        for task in tasks:
            task.cancel()


async def measure(stage: Stage, agents: int, sockets: int, seconds: float) -> dict[str, Any]:
    fleet = Fleet.of(stage.redis_url, stage.facts, FINGERPRINT)
    lag = Lag(stage.postgres.url, fleet)
    runs = stage.facts["runs"]
    pages = Pages(stage.product.plan.web_port, fleet, runs[:: max(1, len(runs) // max(1, sockets))][:sockets])
    async with going(fleet.run(), lag.run()):
        await pages.open()
        async with going(pages.run()):
            await asyncio.sleep(WARM_UP_S)
            for list_ in (lag.seconds, pages.seconds):
                list_.clear()
            before, began, beats = stage.cpu_s(), time.monotonic(), fleet.heartbeats
            fleet.worst_late_s = 0.0
            await asyncio.sleep(seconds)
            passed = time.monotonic() - began
            after, beats = stage.cpu_s(), fleet.heartbeats - beats
            late_s, lags = fleet.worst_late_s, list(lag.seconds)
        resync_s = await resync(stage)
    cores = {f"{name}_cores": round((after[name] - before[name]) / passed, 3) for name in before}
    return {
        "agents": agents,
        "streams": len(runs),
        "heartbeats_per_s": round(beats / passed, 1),
        "lag_p50_s": percentile(lags, 0.5),
        "lag_p99_s": percentile(lags, 0.99),
        **cores,
        "listener_ms_per_heartbeat": round((after["listener"] - before["listener"]) / beats * 1000, 2),
        "event_to_socket_p50_s": percentile(pages.seconds, 0.5),
        "event_to_socket_p95_s": percentile(pages.seconds, 0.95),
        "events": len(pages.seconds),
        "events_missed": pages.missed,
        "resync_s": resync_s,
        "bench_late_s": round(late_s, 3),
        "orders": {name: number for name, number in fleet.commands.items() if name != "Ping"},
    }


async def resync(stage: Stage) -> float:
    """The agents go on. The listener that is killed comes back by its supervisor."""
    async with await psycopg.AsyncConnection.connect(stage.postgres.url, autocommit=True) as connection:
        killed_at = await _one(connection, "SELECT now()")
        began = time.monotonic()
        stage.product.supervisor.kill("listener")
        while await _unheard(connection, killed_at):
            if time.monotonic() - began > RESYNC_LIMIT_S:
                return RESYNC_LIMIT_S
            await asyncio.sleep(0.1)
        return round(time.monotonic() - began, 2)


async def _unheard(connection: psycopg.AsyncConnection[Any], since: Any) -> bool:
    runs = """SELECT EXISTS (SELECT 1 FROM streams_run WHERE slot_released_at IS NULL AND vps_id IS NOT NULL
              AND reported_at <= %s)"""
    vpses = "SELECT EXISTS (SELECT 1 FROM fleet_vps WHERE last_heartbeat_at <= %s)"
    return bool(await _one(connection, vpses, since) or await _one(connection, runs, since))


async def _one(connection: psycopg.AsyncConnection[Any], query: str, *values: Any) -> Any:
    row = await (await connection.execute(query, values)).fetchone()
    return row[0] if row else None


def check(stage: Stage) -> dict[str, int]:
    """What must not have happened while nothing was wrong."""
    with psycopg.connect(stage.postgres.url) as connection:
        count = "SELECT count(*) FROM streams_stream WHERE status <> 'STREAMING' AND run_id IS NOT NULL"
        moved = "SELECT count(*) FROM streams_run WHERE epoch > 1"
        rows = {"off_air": count, "moved": moved}
        return {name: int(connection.execute(query).fetchone()[0]) for name, query in rows.items()}  # type: ignore[index]


def of_size(agents: int, streams: int, sockets: int, seconds: float) -> dict[str, Any]:
    with staged(agents, streams) as stage:
        found = asyncio.run(measure(stage, agents, sockets, seconds)) | check(stage)
    print(json.dumps(found), flush=True)
    return found


# ------------------------------------------------------------------------------------------------ the command

COLUMNS: Final = (
    "agents", "streams", "heartbeats_per_s", "listener_cores", "listener_ms_per_heartbeat", "postgres_cores",
    "web_cores", "lag_p50_s", "lag_p99_s", "event_to_socket_p95_s", "resync_s",
)  # fmt: skip


def table(rows: list[Mapping[str, Any]]) -> str:
    lines = [COLUMNS, *([str(row[name]) for name in COLUMNS] for row in rows)]
    return "\n".join(
        "  ".join(cell.rjust(len(name)) for cell, name in zip(line, COLUMNS, strict=True)) for line in lines
    )


def scaling(streams: int, sockets: int, seconds: float) -> dict[str, Any]:
    rows = [of_size(agents, streams, sockets, seconds) for agents in SCALES]
    print(table(rows))
    each = [row["listener_ms_per_heartbeat"] for row in rows]
    return {"listener_cores": {row["agents"]: row["listener_cores"] for row in rows},
            "ms_per_heartbeat": dict(zip(SCALES, each, strict=True)),
            "largest_by_median": round(each[-1] / statistics.median(each), 2)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--streams", type=int, default=10, help="on air, of each agent")
    parser.add_argument("--sockets", type=int, default=100, help="open pages")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--starts", type=int, default=0)
    args = parser.parse_args()
    end_on_signals()
    if args.starts:
        found = start_many(args.starts)
    elif args.scaling:
        found = scaling(args.streams, args.sockets, args.seconds)
    else:
        found = of_size(args.agents, args.streams, args.sockets, args.seconds)
        print(table([found]))
    print(json.dumps(found))


def start_many(number: int, vpses: int = 100) -> dict[str, Any]:
    """Nine of ten find room."""
    slots = number * 9 // 10
    with staged(vpses, 0, resting=number, slots=slots) as stage:
        fleet = Fleet(stage.redis_url, [Agent(row["id"]) for row in stage.facts["vpses"]])
        return asyncio.run(starts(fleet, stage.facts, stage.product.plan.web_port, stage.postgres.url))


if __name__ == "__main__":
    main()
