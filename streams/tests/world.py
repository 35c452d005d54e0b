"""The whole fleet in memory: the real verbs, actors, inbox and sweep on one side, the real brains of agents on the
other, and between them a wire that loses, doubles and delays. Only processes, files and platforms are made up."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import redis

from agent import actions, events
from agent.decide import decide
from agent.journal import Record
from agent.protocol import (
    DestinationState,
    Heartbeat,
    Load,
    StartStream,
    StopStream,
    UpdateStream,
    decode_command,
    decode_up,
    encode,
    progress_channel,
    status_channel,
    vps_channel,
)
from agent.protocol import StreamProgress as Step
from agent.protocol import StreamStatus as Said
from agent.report import run_report
from agent.state import Playing, State
from kit.actors import after_commit
from streams import progress, starting, stopping
from streams.converge import Sweep
from streams.inbox import Inbox

BEAT_S = 5.0
EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
PIDS = itertools.count(1000)


def no_sleep(_seconds: float) -> None:
    """Between tries to deliver."""


@dataclass
class Playout:
    """A process on a VPS: it pushes from the moment it has started, whatever becomes of its agent."""

    stream_id: int
    run_id: str
    pid: int
    destinations: list[dict]
    epoch: int
    pushing: bool = False

    @property
    def keys(self) -> set[str]:
        return {each["key"] for each in self.destinations if each["enabled"]} if self.pushing else set()


@dataclass
class Server:
    """A VPS: what outlives its agent, and the agent's brain while there is one."""

    world: World
    vps_id: int
    max_streams: int
    state: State | None = None
    linked: bool = True
    skew: float = 0.0
    playouts: dict[str, Playout] = field(default_factory=dict)
    journal: dict[str, Record] = field(default_factory=dict)
    plans: dict[str, dict] = field(default_factory=dict)
    outbox: deque = field(default_factory=deque)
    coming: deque = field(default_factory=deque)
    went_at: float = 0.0
    beat_at: float = -100.0

    @property
    def is_heard(self) -> bool:
        return self.state is not None and self.linked and self.world.redis

    # -------------------------------------------------------------------------------- its life

    def boot(self) -> None:
        if self.state is not None:
            return
        self.state = State(vps_id=self.vps_id, max_streams=self.max_streams)
        away = self.world.now - self.went_at
        self.playouts = {run_id: each for run_id, each in self.playouts.items() if run_id in self.journal}
        for record in list(self.journal.values()):
            playout = self.playouts.get(record.config.run_id)
            if playout is not None:
                # As `agent.core` finds it, also if the agent went before it could write that down.
                record = replace(record, pid=playout.pid, ticks=1)
            self.tell(events.Adopted(record, playout is not None, None, away))
        self.beat_at = -100.0

    def kill_agent(self) -> None:
        self.state, self.went_at = None, self.world.now
        self.outbox.clear()
        self.coming.clear()

    def power_off(self) -> None:
        self.kill_agent()
        self.playouts.clear()

    def kill_playout(self, run_id: str, reason: str | None = None) -> None:
        playout = self.playouts.pop(run_id, None)
        if playout is not None:
            self.coming.append(events.PlayoutExited(playout.stream_id, run_id, playout.pid, reason))

    # -------------------------------------------------------------------------------- its agent

    def tell(self, event: events.Event) -> None:
        if self.state is None:
            return
        self.state, wanted = decide(self.state, event, self.world.now + self.skew)
        for each in wanted:
            self.perform(each)

    def perform(self, action: actions.Action) -> None:
        match action:
            case actions.Publish(message) | actions.Report(message):
                self.outbox.append(message)
            case actions.Poke():
                self.beat_at = -100.0
            case actions.Obtain(key):
                self.coming.append(events.MediaComplete(key, f"/c/{key}.flv", 5.0))
            case actions.MakeSlate(key):
                self.coming.append(events.SlateReady(key, f"/s/{key}"))
            case actions.WritePlan(run_id, plan):
                self.plans[run_id] = plan
                if run_id in self.playouts:
                    self.playouts[run_id].destinations = plan["destinations"]
            case actions.Spawn(stream_id, run_id):
                self.spawn(stream_id, run_id)
            case actions.AskToStop(run_id) | actions.Signal(run_id):
                self.kill_playout(run_id)
            case actions.Remember(record):
                self.journal[record.config.run_id] = record
            case actions.Forget(run_id):
                self.journal.pop(run_id, None)

    def spawn(self, stream_id: int, run_id: str) -> None:
        plan = self.plans[run_id]
        playout = Playout(stream_id, run_id, next(PIDS), plan["destinations"], plan["epoch"])
        assert run_id not in self.playouts, "two playouts of one run"
        self.playouts[run_id] = playout
        self.coming.append(events.PlayoutStarted(stream_id, run_id, playout.pid, 1))

    def live(self) -> bool:
        """Playouts that have begun reach their destinations; their agent hears of it."""
        news = False
        for run_id, playout in self.playouts.items():
            held = self._held(run_id) if self.state else None
            news |= not playout.pushing
            playout.pushing = True
            self.world.was_live.add((run_id, playout.epoch))
            if held is not None and held.pid == playout.pid and held.playing is None:
                self.coming.append(events.PlayoutStatus(run_id, self._playing(playout)))
                news = True
        return news

    def _held(self, run_id: str):
        return next((run for run in self.state.runs.values() if run.run_id == run_id), None)

    def _playing(self, playout: Playout) -> Playing:
        live = tuple(
            DestinationState(id=each["id"], state="live", since=1.0, bytes_sent=100)
            for each in playout.destinations
            if each["enabled"]
        )
        items = self.plans[playout.run_id]["items"]
        return Playing(phase="playing", item_id=items[0]["item_id"], destinations=live)

    def work(self) -> bool:
        """What lies before the agent, and a heartbeat when one is due. True: there was something."""
        if self.state is None:
            return False
        busy = bool(self.coming)
        while self.coming:
            self.tell(self.coming.popleft())
        if self.is_heard:
            busy |= self.speak()
        return busy

    def speak(self) -> bool:
        said = list(self.outbox)
        self.outbox.clear()
        if self.world.now - self.beat_at >= BEAT_S:
            self.beat_at = self.world.now
            said.append(self.heartbeat())
        for message in said:
            self.world.up.append((self.channel(message), encode(message)))
            self.world.said.append(self.world.up[-1])
        return bool(said)

    def channel(self, message) -> str:
        kinds = {Said: status_channel, Step: progress_channel}
        return kinds.get(type(message), vps_channel)(self.vps_id)

    def heartbeat(self) -> Heartbeat:
        reports = tuple(run_report(run, self.state.media) for run in self.state.runs.values())
        load = Load(cpu=10.0, memory=10.0, disk=10.0)
        at = self.world.now + self.skew
        return Heartbeat(vps_id=self.vps_id, timestamp=at, agent_version="1", load=load, runs=reports)


class World:
    """Time goes on only by `step`. `up` and `down` are what is on its way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.redis = True
        self.listening = True
        self.working = True
        self.loses_commands = False
        self.servers: dict[int, Server] = {}
        self.up: deque[tuple[str, str]] = deque()
        self.down: deque[tuple[int, str]] = deque()
        self.late_up: list[tuple[str, str]] = []
        self.late_down: list[tuple[int, str]] = []
        self.said: deque[tuple[str, str]] = deque(maxlen=80)
        self.commanded: deque[tuple[int, str]] = deque(maxlen=40)
        self.queue: deque[tuple[str, str]] = deque()
        self.was_live: set[tuple[str, int]] = set()
        """Runs and epochs under which a destination was reached."""
        self.doubled_s: Counter[str] = Counter()
        self.begin_to_listen()

    def clock(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)

    def begin_to_listen(self) -> None:
        self.inbox, self.sweep = Inbox(), Sweep(self.clock() if self.redis else None)

    def add(self, vps_id: int, max_streams: int) -> None:
        self.servers[vps_id] = Server(self, vps_id, max_streams)
        self.servers[vps_id].boot()

    # -------------------------------------------------------------------------------- doors of the control plane

    def publish(self, vps_id: int, command: StartStream | UpdateStream | StopStream) -> int:
        if not self.redis:
            raise redis.ConnectionError("away")
        if not self.servers[vps_id].is_heard:
            return 0
        message = (vps_id, encode(command))
        self.commanded.append(message)
        if not self.loses_commands:
            self.down.append(message)
        return 1

    def enqueue(self, actor, *ids: object, robust: bool = False) -> None:
        after_commit(lambda: self.queue.append((actor.actor_name, str(ids[0]))))

    def set_redis(self, up: bool) -> None:
        if not up:
            self.up.clear()
            self.down.clear()
        self.redis = up
        self.sweep.listening_since = self.clock() if up else None

    # -------------------------------------------------------------------------------- time

    def step(self, seconds: float = BEAT_S) -> None:
        self.now += seconds
        for server in self.servers.values():
            server.tell(events.Tick())
        self.settle()
        if self.listening:
            with progress.collecting():
                self.sweep.run(self.clock())
        self.settle()
        self._note_doubles(seconds)

    def settle(self) -> None:
        """Everything that is on its way arrives, until nothing is."""
        for _ in range(60):
            busy = self._deliver_down() | self._deliver_up() | self._work()
            for server in self.servers.values():
                busy |= server.work()
                busy |= server.live()
            if not busy:
                return
        raise AssertionError("they never stop talking")

    def _deliver_down(self) -> bool:
        busy = bool(self.down)
        while self.down:
            vps_id, raw = self.down.popleft()
            if self.servers[vps_id].is_heard:
                self.servers[vps_id].tell(decode_command(raw))
        return busy

    def _deliver_up(self) -> bool:
        batch = [decode_up(channel, raw) for channel, raw in self.up]
        self.up.clear()
        if batch and self.listening:
            self.inbox.apply(batch, self.clock())
        return bool(batch)

    def _work(self) -> bool:
        busy = bool(self.queue) and self.working
        while self.queue and self.working:
            name, run_id = self.queue.popleft()
            self.run_actor(name, run_id)
        return busy

    def run_actor(self, name: str, run_id: str) -> None:
        verbs = {"start_stream": starting.put_on_air, "stop_stream": stopping.take_off_air}
        with progress.collecting():
            verbs[name](uuid.UUID(run_id), no_sleep)

    # -------------------------------------------------------------------------------- what viewers see

    def pushing(self) -> dict[str, list[Server]]:
        """By key, who pushes it."""
        found: dict[str, list[Server]] = {}
        for server in self.servers.values():
            for playout in server.playouts.values():
                for key in playout.keys:
                    found.setdefault(key, []).append(server)
        return found

    def _note_doubles(self, seconds: float) -> None:
        """How long a key has been pushed twice by servers that can be told so."""
        twice = {
            key
            for key, servers in self.pushing().items()
            if len(servers) > 1 and self.listening and all(server.is_heard for server in servers)
        }
        for key in list(self.doubled_s):
            if key not in twice:
                del self.doubled_s[key]
        for key in twice:
            self.doubled_s[key] += seconds
