"""Days of playing without waiting for them: programme and leg by a clock of our own, heard by a receiver that decodes
everything and keeps nothing.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.playout.chunks import OUR_CHUNK_SIZE, ChunkDecoder, Message
from agent.playout.flv import AUDIO, VIDEO
from agent.playout.packets import Batch, Packet
from agent.playout.plan import Plan, parse_plan
from agent.playout.playout import Playout
from agent.playout.programme import Programme
from agent.playout.timeline import Timeline

from .driver import items
from .test_leg import _leg

HOUR_MS: Final = 3_600_000
QUEUE_LIMIT: Final = 1 << 20


class Hearing:
    """In a link's place: decodes as a receiver does and follows each track's time beyond the 32 bits of the wire."""

    def __init__(self, start: int) -> None:
        self.session: Any = type("Session", (), {"stream_id": 1})
        self.over: Any = type("Over", (), {"done": staticmethod(lambda: False)})
        self.opened = True
        self.acknowledgements = 0
        self.sent = 0
        self.last = {AUDIO: start, VIDEO: start}
        self.longest_step = {AUDIO: 0, VIDEO: 0}
        """A step back is one of 2^32 less it. What was missed before it joined does not count."""
        self.messages = {AUDIO: 0, VIDEO: 0}
        self._joining = {AUDIO, VIDEO}
        self._decoder = ChunkDecoder(max_message=1 << 24)
        self._decoder._chunk_size = OUR_CHUNK_SIZE

    def write(self, data: bytes) -> None:
        self.sent += len(data)
        for message in self._decoder.feed(data):
            if message.type_id in self.last:
                self._hear(message)

    def join_anew(self) -> None:
        self._joining = {AUDIO, VIDEO}

    def measure(self) -> tuple[int, int]:
        return 0, self.sent

    def _hear(self, message: Message) -> None:
        kind = message.type_id
        step = (message.timestamp - self.last[kind]) & 0xFFFFFFFF
        self.last[kind] += step
        if kind not in self._joining:
            self.longest_step[kind] = max(self.longest_step[kind], step)
        self._joining.discard(kind)
        self.messages[kind] += 1


@dataclass
class Played:
    """What came of it. `memory`: `measure()` after each hour, the first hours too."""

    hearing: Hearing
    programme_at: dict[int, int]
    items: int = 0
    drops: int = 0
    memory: list[int] = field(default_factory=list)

    def growth(self, warm_up: int) -> int:
        settled = self.memory[warm_up:]
        return max(settled) - settled[0]


class Simulation:
    """Plays the files over and over from the timeline's `start` on; `tick_ms` of media at a time."""

    def __init__(self, paths: list[Path], start: int, tick_ms: int) -> None:
        self._start, self._tick_ms = start, tick_ms
        self._hearing = Hearing(start)
        self._leg, _ = _leg()
        self._leg._link = self._hearing  # type: ignore[assignment]
        self._playout = Playout(_plan(paths), random.Random(1))
        self._woken = asyncio.Event()
        self._playout.programme._wake = self._woken.set

    async def play(self, hours: int, measure: Callable[[], int]) -> Played:
        """Once an hour the destination joins anew, with absolute headers."""
        programme = self._playout.programme
        programme.timeline = Timeline(self._start)
        memory = []
        for hour in range(hours):
            await self._hour(programme, self._start + hour * HOUR_MS)
            memory.append(measure())
            self._leg.rejoin()
            self._hearing.join_anew()
        programme.close()
        reached = {kind: programme.timeline.last(kind) for kind in (AUDIO, VIDEO)}
        return Played(self._hearing, reached, programme.items_played, self._leg.drops, memory)

    async def _hour(self, programme: Programme, begin: int) -> None:
        for clock in range(begin + self._tick_ms, begin + HOUR_MS + 1, self._tick_ms):
            packets = await self._pull(programme, clock)
            if packets:
                self._leg.send(Batch(packets), QUEUE_LIMIT)
            self._leg.check(clock / 1000)

    async def _pull(self, programme: Programme, limit: int) -> list[Packet]:
        """The clock stands still while the disk is read."""
        packets = programme.pull(limit)
        while programme.state == "starved":
            await self._woken.wait()
            self._woken.clear()
            packets += programme.pull(limit)
        return packets


def _plan(paths: list[Path]) -> Plan:
    plain = {"stream_id": 1, "run_id": "r", "epoch": 1, "loop": True, "order": "sequential", "destinations": []}
    return parse_plan(plain | {"items": items(*paths)})
