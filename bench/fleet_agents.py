"""Simulated agents for `bench.fleet`: one asyncio process that speaks the real protocol for a thousand of them.

Each sends a heartbeat every five seconds that names every run it holds, and one more at once when something people
look at changed, as the real agent does; it answers commands, and takes a start through its stages. What a heartbeat
says is `agent.protocol`'s own (see `Agent.check`); only the numbers that always move are written into text kept from
the time before.
"""

from __future__ import annotations

import asyncio
import dataclasses
import heapq
import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio

from agent.protocol import (
    HEARTBEAT_SECONDS,
    Command,
    DestinationState,
    Heartbeat,
    Load,
    Message,
    Ping,
    Pong,
    RunReport,
    StartStream,
    StopStream,
    StreamProgress,
    StreamStatus,
    UpdateStream,
    decode_command,
    decode_up,
    encode,
    progress_channel,
    status_channel,
    vps_channel,
)

ITEM_S: Final = 300.0
"""How long an item plays."""
KBPS: Final = 3000.0
STAGES: Final = (("downloading", 30), ("file_ready", 70), ("ffmpeg_starting", 80), ("ffmpeg_started", 90))
STAGE_S: Final = 0.3
_MOVING: Final = {"position_s": 11.0625, "bitrate_kbps": 22.0625, "bytes_sent": 33062533}


@dataclass
class SimRun:
    """One run on air. `template` is its report as text, with places for what always moves; made anew when anything
    else changed."""

    stream_id: int
    run_id: str
    epoch: int
    fingerprint: str
    outputs: list[int]
    items: list[int]
    phase: str = "on_air"
    began: float = field(default_factory=time.time)
    item_began: float = field(default_factory=time.time)
    at: int = 0
    lost: str = ""
    """Why its first destination is off air; empty: it is live."""
    since: float = field(default_factory=time.time)
    template: str = ""

    def report(self, position_s: float, kbps: float, sent: int) -> RunReport:
        count = len(self.items)
        return RunReport(
            stream_id=self.stream_id,
            run_id=self.run_id,
            epoch=self.epoch,
            phase=self.phase,
            fingerprint=self.fingerprint,
            item_id=self.items[self.at % count],
            file_id=1 + self.at % count,
            position_s=position_s,
            duration_s=600.0,
            next_item_ids=tuple(self.items[(self.at + n) % count] for n in (1, 2, 3)),
            items_played=self.at,
            bitrate_kbps=kbps,
            on_air_since=self.began,
            destinations=tuple(self._destination(n, output, kbps, sent) for n, output in enumerate(self.outputs)),
        )

    def _destination(self, number: int, output: int, kbps: float, sent: int) -> DestinationState:
        lost = self.lost if number == 0 else ""
        return DestinationState(
            id=output,
            state="reconnecting" if lost else "live",
            since=self.since if number == 0 else self.began,
            reason=lost or None,
            bytes_sent=sent,
            bitrate_kbps=kbps,
        )

    def changed(self) -> None:
        self.template = ""

    def text(self, now: float, noise: float) -> str:
        self.template = self.template or self._template()
        kbps = KBPS * (0.9 + 0.2 * noise)
        sent = int((now - self.began) * KBPS * 125)
        return self.template % {"position_s": now - self.item_began, "bitrate_kbps": kbps, "bytes_sent": sent}

    def _template(self) -> str:
        whole = self.report(_MOVING["position_s"], _MOVING["bitrate_kbps"], int(_MOVING["bytes_sent"]))
        text = json.dumps(dataclasses.asdict(whole), separators=(",", ":")).replace("%", "%%")
        for name, stand_in in _MOVING.items():
            text = text.replace(str(stand_in), f"%({name}){'d' if name == 'bytes_sent' else '.3f'}")
        return text


@dataclass
class Agent:
    """`seq` counts its heartbeats and goes out as `network_mbit`: what the database says of it tells which came."""

    vps_id: int
    runs: dict[int, SimRun] = field(default_factory=dict)
    seq: int = 0

    def heartbeat(self, now: float) -> str:
        self.seq += 1
        whole = Heartbeat(vps_id=self.vps_id, timestamp=now, agent_version="1.0-sim", load=self._load())
        head = encode(whole).replace('"runs":[]', '"runs":[%s]')
        noise = random.random()
        return head % ",".join(run.text(now, noise) for run in self.runs.values())

    def _load(self) -> Load:
        return Load(cpu=random.uniform(10, 40), memory=30.0, disk=40.0, network_mbit=float(self.seq))

    def check(self, now: float) -> None:
        """What is pieced together here is what the protocol would say."""
        said = decode_up(vps_channel(self.vps_id), self.heartbeat(now))
        if not isinstance(said, Heartbeat) or [each.run_id for each in said.runs] != [
            run.run_id for run in self.runs.values()
        ]:
            raise ValueError("a simulated heartbeat is not one")
        for heard, run in zip(said.runs, self.runs.values(), strict=True):
            meant = run.report(heard.position_s, heard.bitrate_kbps, heard.destinations[0].bytes_sent)
            if heard != meant:
                raise ValueError("a simulated report is not what it should be")


class Fleet:
    """All agents. `sent` tells by VPS and number of the heartbeat when it was published (monotonic)."""

    def __init__(self, url: str, agents: Iterable[Agent]) -> None:
        self.agents = {agent.vps_id: agent for agent in agents}
        self.commands: Counter[str] = Counter()
        self.sent: dict[int, dict[int, float]] = {}
        """Kept for the VPSes in it."""
        self.heartbeats = 0
        self.worst_late_s = 0.0
        """How far behind its own plan this process was: above some tenths the bench measures itself."""
        self._redis = redis.asyncio.Redis.from_url(url)
        self._starting: set[asyncio.Task[None]] = set()

    @classmethod
    def of(cls, url: str, facts: dict[str, Any], fingerprint: str) -> Fleet:
        agents = {row["id"]: Agent(row["id"]) for row in facts["vpses"]}
        for row in facts["runs"]:
            run = SimRun(row["stream"], row["run"], 1, fingerprint, row["outputs"], row["items"])
            # Items do not end all at once.
            run.item_began -= random.uniform(0, ITEM_S)
            agents[row["vps"]].runs[run.stream_id] = run
        for agent in list(agents.values())[:3]:
            agent.check(time.time())
        return cls(url, agents.values())

    async def run(self) -> None:
        await asyncio.gather(self._beat_for_ever(), self._hear_for_ever(), self._play_for_ever())

    # ------------------------------------------------------------------------------------------- speaking

    async def beat(self, agent: Agent) -> float:
        """Sends a heartbeat now; when it was (monotonic)."""
        text = agent.heartbeat(time.time())
        at = time.monotonic()
        if agent.vps_id in self.sent:
            self.sent[agent.vps_id][agent.seq] = at
        self.heartbeats += 1
        await self._redis.publish(vps_channel(agent.vps_id), text)
        return at

    async def _say(self, channel: str, message: Message) -> None:
        await self._redis.publish(channel, encode(message))

    async def _beat_for_ever(self) -> None:
        begin = time.monotonic()
        due = [(begin + random.uniform(0, HEARTBEAT_SECONDS), vps_id) for vps_id in self.agents]
        heapq.heapify(due)
        while True:
            at, vps_id = due[0]
            late_s = time.monotonic() - at
            if late_s < 0:
                await asyncio.sleep(-late_s)
            else:
                self.worst_late_s = max(self.worst_late_s, late_s)
            heapq.heapreplace(due, (at + HEARTBEAT_SECONDS, vps_id))
            await self.beat(self.agents[vps_id])

    async def _play_for_ever(self) -> None:
        """Items end and others begin: a heartbeat each."""
        while True:
            await asyncio.sleep(1.0)
            now = time.time()
            for agent in self.agents.values():
                over = [run for run in agent.runs.values() if now - run.item_began >= ITEM_S]
                for run in over:
                    run.at, run.item_began = run.at + 1, now
                    run.changed()
                if over:
                    await self.beat(agent)

    # ------------------------------------------------------------------------------------------- being told

    async def _hear_for_ever(self) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(*(f"vps-commands:{vps_id}" for vps_id in self.agents))
            async for message in pubsub.listen():
                if message["type"] == "message":
                    agent = self.agents[int(message["channel"].decode().rpartition(":")[2])]
                    command = decode_command(message["data"])
                    self.commands[type(command).__name__] += 1
                    await self._obey(agent, command)

    async def _obey(self, agent: Agent, command: Command) -> None:
        match command:
            case Ping():
                pong = Pong(
                    vps_id=agent.vps_id, timestamp=time.time(), active_streams=len(agent.runs),
                    ping_timestamp=command.timestamp,
                )  # fmt: skip
                await self._say(vps_channel(agent.vps_id), pong)
            case StartStream():
                task = asyncio.create_task(self._start(agent, command))
                self._starting.add(task)
                task.add_done_callback(self._starting.discard)
            case UpdateStream() if command.config.id in agent.runs:
                run = agent.runs[command.config.id]
                run.fingerprint = command.config.fingerprint
                run.changed()
            case StopStream():
                run = agent.runs.pop(command.stream_id, None)
                if run is not None:
                    await self._status(agent, run, "STOPPED", "stopped as asked")

    async def _start(self, agent: Agent, command: StartStream) -> None:
        config = command.config
        held = agent.runs.get(config.id)
        if held is not None and held.run_id == config.run_id and held.epoch >= config.epoch:
            return
        outputs = [push.id for push in config.push_urls]
        items = [item.item_id for item in config.video_files]
        run = SimRun(config.id, config.run_id, config.epoch, config.fingerprint, outputs, items, phase="fetching")
        agent.runs[config.id] = run
        for stage, percent in STAGES:
            step = StreamProgress(
                stream_id=config.id, stage=stage, progress=percent, message=stage, vps_id=agent.vps_id,
                timestamp=time.time(), run_id=config.run_id,
            )  # fmt: skip
            await self._say(progress_channel(agent.vps_id), step)
            await asyncio.sleep(STAGE_S)
        run.phase = "on_air"
        run.changed()
        if agent.runs.get(config.id) is run:
            await self._status(agent, run, "STREAMING", "")
            await self.beat(agent)

    async def _status(self, agent: Agent, run: SimRun, word: str, message: str) -> None:
        report = run.report(0.0, KBPS, 0) if word == "STREAMING" else None
        status = StreamStatus(
            stream_id=run.stream_id, status=word, message=message, vps_id=agent.vps_id, timestamp=time.time(),
            run_id=run.run_id, epoch=run.epoch, run=report,
        )  # fmt: skip
        await self._say(status_channel(agent.vps_id), status)
