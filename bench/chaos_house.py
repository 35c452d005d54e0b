"""The whole product on one machine, built so that each part of it can be broken by itself; and what it claims to be so.

PostgreSQL, Redis, web, listener, worker, media, scheduler and two agents, each agent behind a wire of its own to Redis
and with a clock of its own. Some streams are to be on air all the time; one, the errand, is started and stopped by its
owner in the middle of every fault, so that each part has to work again and not only to live again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import requests

from agent import procfs
from bench.chaos_receivers import NginxRtmp, Receiver, TakesAll
from bench.chaos_watch import Place, Watch
from bench.sink import Sink, compiled
from lab.client import Client
from lab.cutting import Wire
from lab.ports import free_port
from lab.postgres import Postgres
from lab.processes import wait_until
from lab.product import Plan, Product
from lab.valkey import Valkey

CONTROL: Final = ("web", "listener", "worker", "media", "scheduler")
AGENTS: Final = ("agent1", "agent2")
ERRAND: Final = "errand"
PRESS_EVERY_S: Final = 1.0
MAKE_STREAMS: Final = """
from accounts.models import Package
from fleet.models import Vps
from streams import actions
from streams.models import Destination, Stream
Package.objects.update(max_concurrent_streams=20)
Vps.objects.update(max_streams=10)
first = Stream.objects.get(pk={pk})
for key in {keys}:
    copy = actions.duplicate(first, first.owner)
    copy.outputs.all().delete()
    for name, url in {urls}.items():
        place = Destination(owner=first.owner, name=f"{{name}} {{key}}", url=url)
        place.set_key(key)
        place.save()
        copy.outputs.create(destination=place)
    print("made", copy.pk)
"""
ROWS: Final = """
select s.id, s.status, r.id::text, v.name, r.epoch, extract(epoch from r.reported_at)::float
from streams_stream s left join streams_run r on r.id = s.run_id left join fleet_vps v on v.id = r.vps_id
"""
SLOTS: Final = """
select v.name, count(r.id) from fleet_vps v
left join streams_run r on r.vps_id = v.id and r.slot_released_at is null group by v.name
"""
FORGIVE: Final = "update fleet_vps set unhealthy = '' where unhealthy like 'overloaded%' returning name"
"""The VPSes here are one machine, with whatever else works on it: that it has no CPU to spare is not what is tried."""
HEARD: Final = "select name, extract(epoch from last_heartbeat_at)::float from fleet_vps"


@dataclass(frozen=True, slots=True)
class Row:
    """A stream as the database has it. `agent`: whose VPS its run is on; `reported_at` in unix seconds."""

    status: str
    run_id: str | None
    agent: str | None
    epoch: int | None
    reported_at: float | None


class House:
    """`with House(home, streams) as house:` everything is up, and the streams are on air."""

    def __init__(self, home: Path, streams: int) -> None:
        self.home = home
        self.keys = [f"channel-{number}" for number in range(1, streams + 1)]
        self.gone: set[str] = set()
        """Agents whose VPS is gone on purpose."""
        self.errand_wanted = False
        self._stack = ExitStack()
        self._pressed_at = 0.0

    def __enter__(self) -> House:
        with contextlib.ExitStack() as undo:
            undo.callback(self._stack.close)
            self._build()
            undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _build(self) -> None:
        enter = self._stack.enter_context
        self.receivers: dict[str, Receiver] = {
            "nginx": enter(NginxRtmp(self.home / "nginx")),
            "sink": TakesAll(enter(Sink())),
        }
        self.postgres = enter(Postgres())
        self.valkey = Valkey(self.home / "valkey")
        self._stack.callback(self.valkey.stop)
        self.valkey.start()
        self.wires = {agent: enter(Wire(self.valkey.socket)) for agent in AGENTS}
        self.product = enter(Product(self._plan()))
        self.product.manage("fleet_wait")
        user = next(who for who in self.product.facts["people"] if who["role"] == "User")
        self.client = Client(self.product.url, user["email"], user["password"])
        self.pks = self._make_streams()
        self.watch = enter(Watch(self.receivers))
        for key in self.keys:
            self.press("start", key)
        wait_until(lambda: all(self.watch.pushing(place) for place in self.places()), "every stream is on air", 60)

    def _plan(self) -> Plan:
        servers = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.valkey.url}
        return Plan(
            home=self.home,
            web_port=free_port(),
            rtmp_port=0,
            platform_port=0,
            agents=len(AGENTS),
            clip_seconds=5,
            start_demo=False,
            ingest={name: receiver.url() for name, receiver in self.receivers.items()},
            environ=dict(os.environ) | servers,
            agent_environ={name: self._agent_environ(name) for name in AGENTS},
        )

    def _agent_environ(self, name: str) -> dict[str, str]:
        wire = {"EZSTREAM_REDIS_URL": f"redis://127.0.0.1:{self.wires[name].port}/0"}
        clock = compiled("clock.c", self.home, "-shared", "-fPIC")
        if clock is None:
            return wire
        self._step_file(name).write_bytes(struct.pack("d", 0.0))
        return wire | {"LD_PRELOAD": str(clock), "CLOCK_STEP_FILE": str(self._step_file(name))}

    def _step_file(self, name: str) -> Path:
        return self.home / f"{name}.step"

    def _make_streams(self) -> dict[str, int]:
        urls = {name: receiver.url() for name, receiver in self.receivers.items()}
        keys = [*self.keys, ERRAND]
        code = MAKE_STREAMS.format(pk=self.product.facts["stream_id"], keys=keys, urls=urls)
        said = self.product.manage("shell", "--no-imports", "-v", "0", "-c", code).splitlines()
        pks = [int(line.split()[1]) for line in said if line.startswith("made ")]
        return dict(zip(keys, pks, strict=True))

    # ---------------------------------------------------------------------------------------- its parts

    def places(self, keys: list[str] | None = None) -> list[Place]:
        return [(name, key) for name in self.receivers for key in (self.keys if keys is None else keys)]

    def work_dir(self, agent: str) -> Path:
        return self.product.plan.home / agent

    def playouts(self, agent: str) -> dict[str, list[int]]:
        """Processes by run, as the kernel has them."""
        found = procfs.playouts_under(self.work_dir(agent) / "runs")
        return {run_dir.name: pids for run_dir, pids in found.items()}

    def nurseries(self, agent: str) -> list[int]:
        parent = self.product.supervisor.children[agent].pid
        return [pid for pid in procfs.pids() if "agent.playout.nursery" in procfs.command_line(pid)
                and _parent(pid) == parent]  # fmt: skip

    def keys_on(self, agent: str) -> list[str]:
        """Of the streams that are to be on air, those that are on this agent's VPS."""
        rows = self.rows()
        return [key for key in self.keys if rows[key].agent == agent]

    def signal(self, name: str, number: int) -> None:
        """A process of the control plane with its children, as a service manager would; an agent alone."""
        pid = self.product.supervisor.children[name].pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number) if name in AGENTS else os.killpg(pid, number)

    @contextmanager
    def down(self, *names: str) -> Iterator[None]:
        """Killed, and not started again before the end of the block."""
        supervisor = self.product.supervisor
        children = [supervisor.children[name] for name in names]
        for child in children:
            child.restart = False
            self.signal(child.name, signal.SIGKILL)
        try:
            yield
        finally:
            for child in children:
                child.restart = True
                supervisor.start(child)

    def step_clock(self, agent: str, seconds: float) -> None:
        with self._step_file(agent).open("r+b") as file:
            file.write(struct.pack("d", seconds))

    # ------------------------------------------------------------------------------------- its owner

    def press(self, verb: str, key: str) -> bool:
        """Whether the pages took it."""
        try:
            self.client.post(f"/streams/{self.pks[key]}/{verb}")
        except requests.RequestException:
            return False
        return True

    def run_errand(self, rows: dict[str, Row]) -> None:
        """Its owner presses until it is so, as people do; not oftener than once a second."""
        self._ask(FORGIVE)
        status, now = rows[ERRAND].status, time.monotonic()
        verb = "start" if self.errand_wanted else "stop"
        due = status in (("INACTIVE", "ERROR") if self.errand_wanted else ("STREAMING", "STARTING"))
        if due and now - self._pressed_at >= PRESS_EVERY_S:
            self._pressed_at = now
            self.press(verb, ERRAND)

    # ------------------------------------------------------------------------------------- what it claims

    def rows(self) -> dict[str, Row]:
        """Raises `psycopg.Error` while the database is away."""
        names = {pk: key for key, pk in self.pks.items()}
        found = self._ask(ROWS)
        return {
            names[pk]: Row(status, run, agent_of(vps), *rest) for pk, status, run, vps, *rest in found if pk in names
        }

    def slots(self) -> dict[str, int]:
        return {str(agent_of(vps)): count for vps, count in self._ask(SLOTS)}

    def heard(self) -> dict[str, float]:
        return {str(agent_of(vps)): at for vps, at in self._ask(HEARD)}

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(
            self.postgres.url.replace("postgres://", "postgresql://"), connect_timeout=3
        ) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]


def agent_of(vps: str | None) -> str | None:
    """`local-1` is where `agent1` works."""
    return vps and vps.replace("local-", "agent")


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
