"""What the chaos harness breaks, and how long each of it may be felt.

Each fault is a context manager: entered, the thing is broken; left, it is whole again. It gives the keys of the streams
it is about: of those the table tells; that no other stream was touched is checked besides.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

import redis

from agent import procfs
from bench.chaos_house import AGENTS, CONTROL, House

Keys = list[str]
Strike = Callable[[House, random.Random], AbstractContextManager[Keys]]
HOUR_S: Final = 3600.0
DISK_MB: Final = 512
"""An agent leaves a part of its disk free (`agent.cache.SPARE_DISK`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`group` is its name in the JSON. Limits in seconds: `off_air_s` for what it is about (others: none at all),
    `converge_s` from when all is whole again; from the strike, if it is to be survived while it lasts (`elsewhere`)."""

    name: str
    group: str
    strike: Strike
    hold_s: float = 0.0
    short_hold_s: float | None = None
    off_air_s: float = 0.0
    converge_s: float = 15.0
    elsewhere: bool = False
    silences: bool = False
    """The control plane hears nothing of a VPS that still pushes: how long two push one key is told, not refused."""
    once: bool = False
    """Takes minutes: one round is enough."""
    needs_root: bool = False

    def hold(self, short: bool) -> float:
        return self.short_hold_s if short and self.short_hold_s is not None else self.hold_s


def an_agent(house: House, rng: random.Random) -> str:
    """One that holds a stream, or else its fault would prove nothing."""
    return rng.choice([agent for agent in AGENTS if house.keys_on(agent)])


# ------------------------------------------------------------------------------------------------ processes


def killed(name: str) -> Strike:
    @contextmanager
    def strike(house: House, _rng: random.Random) -> Iterator[Keys]:
        house.signal(name, signal.SIGKILL)
        yield house.keys

    return strike


def suspended(name: str) -> Strike:
    @contextmanager
    def strike(house: House, _rng: random.Random) -> Iterator[Keys]:
        house.signal(name, signal.SIGSTOP)
        yield house.keys
        house.signal(name, signal.SIGCONT)

    return strike


@contextmanager
def agent_killed(house: House, rng: random.Random) -> Iterator[Keys]:
    agent = an_agent(house, rng)
    house.signal(agent, signal.SIGKILL)
    yield house.keys_on(agent)


@contextmanager
def agent_suspended(house: House, rng: random.Random) -> Iterator[Keys]:
    agent = an_agent(house, rng)
    keys = house.keys_on(agent)
    house.signal(agent, signal.SIGSTOP)
    yield keys
    house.signal(agent, signal.SIGCONT)


@contextmanager
def nursery_killed(house: House, rng: random.Random) -> Iterator[Keys]:
    agent = an_agent(house, rng)
    for pid in house.nurseries(agent):
        os.kill(pid, signal.SIGKILL)
    yield house.keys_on(agent)


def _a_playout(house: House, rng: random.Random) -> tuple[str, int]:
    """(key, pid)"""
    key = rng.choice(house.keys)
    row = house.rows()[key]
    return key, house.playouts(str(row.agent))[str(row.run_id)][0]


@contextmanager
def playout_killed(house: House, rng: random.Random) -> Iterator[Keys]:
    key, pid = _a_playout(house, rng)
    os.kill(pid, signal.SIGKILL)
    yield [key]


@contextmanager
def playout_suspended(house: House, rng: random.Random) -> Iterator[Keys]:
    key, pid = _a_playout(house, rng)
    ticks = procfs.start_ticks(pid)
    os.kill(pid, signal.SIGSTOP)
    yield [key]
    if ticks is not None and procfs.is_alive(pid, ticks):
        os.kill(pid, signal.SIGCONT)


@contextmanager
def vps_gone(house: House, rng: random.Random) -> Iterator[Keys]:
    """Agent and playouts at once, and nobody there to start them again; at the end it is booted."""
    agent = an_agent(house, rng)
    keys = house.keys_on(agent)
    with house.down(agent):
        for pids in house.playouts(agent).values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        house.gone.add(agent)
        try:
            yield keys
        finally:
            house.gone.discard(agent)


# ------------------------------------------------------------------------------------------------ servers


@contextmanager
def redis_restarted(house: House, _rng: random.Random) -> Iterator[Keys]:
    house.valkey.stop()
    house.valkey.start()
    yield house.keys


@contextmanager
def redis_killed(house: House, _rng: random.Random) -> Iterator[Keys]:
    house.valkey.kill()
    yield house.keys
    house.valkey.start()


@contextmanager
def redis_flushed(house: House, _rng: random.Random) -> Iterator[Keys]:
    with _redis(house) as client:
        client.flushall()
    yield house.keys


@contextmanager
def database_restarted(house: House, _rng: random.Random) -> Iterator[Keys]:
    house.postgres.kill()
    yield house.keys
    house.postgres.start()


@contextmanager
def control_gone(house: House, _rng: random.Random) -> Iterator[Keys]:
    with house.down(*CONTROL):
        house.valkey.kill()
        yield house.keys
        house.valkey.start()


@contextlib.contextmanager
def _redis(house: House) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(house.valkey.socket)) as client:
        yield client


# ------------------------------------------------------------------------------------------------ messages


@contextmanager
def _meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(10)


@contextmanager
def messages_lost(house: House, _rng: random.Random) -> Iterator[Keys]:
    """Whoever listens is thrown out of Redis twice a second: what is said until it is back is lost."""

    def throw_out(done: threading.Event) -> None:
        with _redis(house) as client:
            while not done.wait(0.5):
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    with _meanwhile(throw_out):
        yield house.keys


@contextmanager
def messages_doubled(house: House, rng: random.Random) -> Iterator[Keys]:
    """Each message comes once more, up to three seconds late, so among newer ones."""

    def echo(done: threading.Event) -> None:
        ours: set[tuple[bytes, bytes]] = set()
        waiting: list[tuple[float, bytes, bytes]] = []
        with _redis(house) as client, client.pubsub() as pubsub:
            pubsub.psubscribe("vps-commands:*", "stream-status:*", "stream-progress:*", "vps-status:*")
            while not done.is_set():
                heard = pubsub.get_message(timeout=0.1)
                if heard and heard["type"] == "pmessage" and (heard["channel"], heard["data"]) not in ours:
                    ours.add((heard["channel"], heard["data"]))
                    waiting.append((time.monotonic() + rng.uniform(0, 3), heard["channel"], heard["data"]))
                due = [each for each in waiting if each[0] <= time.monotonic()]
                waiting = [each for each in waiting if each not in due]
                for _at, channel, data in due:
                    client.publish(channel, data)

    with _meanwhile(echo):
        yield house.keys


@contextmanager
def link_cut(house: House, rng: random.Random) -> Iterator[Keys]:
    agent = an_agent(house, rng)
    keys = house.keys_on(agent)
    with house.wires[agent].cut():
        yield keys


# ------------------------------------------------------------------------------------------------ the VPS itself


@contextmanager
def disk_full(house: House, rng: random.Random) -> Iterator[Keys]:
    """The agents' directories are small file systems of their own: what is free there is taken."""
    agent = an_agent(house, rng)
    ballast = house.work_dir(agent) / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 20)):
            continue
    try:
        yield house.keys_on(agent)
    finally:
        ballast.unlink()


@contextmanager
def small_disk(house_home: str) -> Iterator[None]:
    """As root alone."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "chaos", house_home], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", house_home], check=True)


def clock_stepped(seconds: float) -> Strike:
    @contextmanager
    def strike(house: House, rng: random.Random) -> Iterator[Keys]:
        agent = an_agent(house, rng)
        house.step_clock(agent, seconds)
        yield house.keys_on(agent)
        house.step_clock(agent, 0.0)

    return strike


# ------------------------------------------------------------------------------------------------ the list

FAULTS: Final = (
    Fault(name="agent killed", group="agent", strike=agent_killed),
    Fault(name="playout killed", group="playout", strike=playout_killed, off_air_s=2.0),
    Fault(name="nursery killed", group="nursery", strike=nursery_killed),
    Fault(name="VPS gone", group="vps", strike=vps_gone, off_air_s=30.0, converge_s=30.0, elsewhere=True),
    Fault(name="web killed", group="web", strike=killed("web")),
    Fault(name="worker killed", group="worker", strike=killed("worker")),
    Fault(name="media killed", group="media", strike=killed("media")),
    Fault(name="listener killed", group="listener", strike=killed("listener")),
    Fault(name="scheduler killed", group="scheduler", strike=killed("scheduler")),
    Fault(name="Redis restarted", group="redis", strike=redis_restarted),
    Fault(name="Redis killed", group="redis", strike=redis_killed, hold_s=2),
    Fault(name="Redis flushed", group="redis", strike=redis_flushed),
    Fault(name="database killed", group="database", strike=database_restarted, hold_s=2),
    Fault(name="messages lost", group="messages", strike=messages_lost, hold_s=15, short_hold_s=4),
    Fault(name="messages doubled", group="messages", strike=messages_doubled, hold_s=15, short_hold_s=4),
    Fault(name="link cut 10 s", group="link", strike=link_cut, hold_s=10),
    Fault(name="link cut 5 min", group="link", strike=link_cut, hold_s=300, short_hold_s=25,
          off_air_s=5.0, silences=True, once=True),
    Fault(name="agent suspended", group="suspended", strike=agent_suspended, hold_s=30, short_hold_s=23,
          off_air_s=5.0, silences=True),
    Fault(name="playout suspended", group="hung", strike=playout_suspended, hold_s=30, short_hold_s=12,
          off_air_s=15.0),
    Fault(name="listener suspended", group="suspended", strike=suspended("listener"), hold_s=30, short_hold_s=5),
    Fault(name="worker suspended", group="suspended", strike=suspended("worker"), hold_s=30, short_hold_s=5),
    Fault(name="control plane gone", group="control", strike=control_gone, hold_s=600, short_hold_s=8, once=True),
    Fault(name="disk full", group="disk", strike=disk_full, hold_s=15, short_hold_s=4, needs_root=True,
          converge_s=75.0),  # a start that lands there is tried again by its agent, then elsewhere
    Fault(name="clock +1 h", group="clock", strike=clock_stepped(HOUR_S), hold_s=15, short_hold_s=4),
    Fault(name="clock −1 h", group="clock", strike=clock_stepped(-HOUR_S), hold_s=15, short_hold_s=4),
)  # fmt: skip
