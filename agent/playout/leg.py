"""One destination: its connection, its bounded queue, its retries and its state, whatever way it is pushed. Nothing
here can hold up another.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from .backoff import retry_delay
from .carrier import Carrier
from .meter import Meter
from .packets import Batch
from .pause import Pause
from .plan import Destination, Plan
from .renewal import Broadcast
from .retries import Retries, State, Unacknowledged
from .rtmp import RtmpError, Temporary
from .signs import Signs
from .target import Target, TargetError, parse_target

SILENT_S: Final = 4.0
STALLED_S: Final = 10.0
CHECK_S: Final = 0.4
"""So often a destination that is well is looked at; the queue it may have is longer than what goes out in between."""
UNHEEDED: Final = "the server stops acknowledging after a while: judged by what its network takes"

log = logging.getLogger(__name__)


Carried = TypeVar("Carried", bound=Carrier)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every leg shares. `changed` is called after each change of state."""

    changed: Callable[[], None]
    tls: Callable[[], ssl.SSLContext]
    plan: Callable[[], Plan]
    rng: random.Random
    run_dir: Path = Path()


class BaseLeg(ABC, Generic[Carried]):
    LIVE_REASON: ClassVar[str | None] = None
    """What must be said of it even while it is live."""

    def __init__(self, destination: Destination, around: Surroundings) -> None:
        self.destination = destination
        self.state: State = "connecting" if destination.enabled else "disabled"
        self.since = time.time()
        self.reason: str | None = None
        self.reconnects = 0
        self.drops = 0
        self._around = around
        self._meter = Meter()
        self._flow = Meter()
        self._offered = 0
        self._task: asyncio.Task[None] | None = None
        self._link: Carried | None = None
        self._earlier = (0, 0)
        self._queued = 0
        self._joined: frozenset[int] = frozenset()
        self._overflowing = False
        self._checked = 0.0
        self._media_from = 0
        self._been_live = False
        self._again = False
        self._retries = Retries(around.rng)
        self._live_since = time.monotonic()
        self._signs = Signs(self._live_since)
        self._stopped = False
        self.broadcast = Broadcast()
        self._farewell: asyncio.Task[None] | None = None
        """The connection is being closed by ourselves, to be opened again at once."""
        self._pause = Pause()

    @abstractmethod
    async def _open(self, target: Target) -> Carried:
        """One attempt to connect. Raises RtmpError."""

    @abstractmethod
    def _put(self, link: Carried, batch: Batch) -> None:
        """Hand the batch over; who has not joined begins where a packet has a preamble."""

    @property
    def ready(self) -> bool:
        """Media can be written to it."""
        return self._link is not None and self._farewell is None and not self._link.over.done()

    @property
    def pending(self) -> bool:
        """Its first attempt is under way: worth waiting for before the first frame."""
        return self.state in ("connecting", "renewing") and not self.ready

    def start(self) -> None:
        if self.destination.enabled and not self._stopped:
            self._task = asyncio.create_task(self._run(), name=f"destination {self.destination.id}")
            self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Unpublish and close, within the time the connection gives itself for that."""
        self._stopped = True
        link, self._link = self._link, None
        if self._task is not None:
            self._task.cancel()
        if link is not None:
            await (self._farewell or link.leave())
            self._count(link)

    def renew(self, *, asked: bool = False) -> None:
        """Unpublishes, closes and publishes anew; one that waits for its next attempt waits no longer."""
        self._pause.end()
        if self._link is not None and self.ready:
            self.broadcast.leave(time.monotonic(), asked=asked)
            self._farewell = asyncio.create_task(self._link.retire(), name=f"renew {self.destination.id}")
            self._become("renewing", None)

    def take_up(self, before: Mapping[str, Any], away_s: float, *, renewing: bool) -> None:
        """What the process before said of its broadcast. `renewing`: it ended for that."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            self.broadcast.take_up(before, time.monotonic(), away_s, renewing=renewing)
            if self.broadcast.is_renewing and self.state == "connecting":
                self.state, self._been_live = "renewing", True

    def send(self, batch: Batch, limit: int) -> None:
        """Queue the batch; with more than `limit` bytes queued already, drop until there is room and a key
        frame.
        """
        link = self._link
        if link is None or not self.ready:
            return
        self._offered += len(batch.joined)
        self._overflowing = self._queued > (limit // 2 if self._overflowing else limit)
        if self._overflowing:
            self._joined = frozenset()
            self.drops += len(batch.packets)
        else:
            self._put(link, batch)

    def check(self, now: float) -> None:
        """Look at what has arrived; `now` in monotonic seconds."""
        link = self._link
        if link is None or not self.ready or self._is_well(now):
            return
        self._checked = now
        self._queued, acked = link.measure()
        self._signs.note(now, self._queued, acked, link.acknowledgements)
        self._judge(link, acked, now)
        self._meter.note(now, self._earlier[1] + acked)
        self._flow.note(now, self._offered)

    def _is_well(self, now: float) -> bool:
        """It was a moment ago: what is asked of the kernel costs more than a write."""
        return now - self._checked < CHECK_S and self.state == "live" and not self._overflowing

    def status(self, now: float) -> dict[str, Any]:
        """The destination's part of STATUS."""
        sent, acked = self._totals()
        queued = self._queued if self.ready else 0
        return {
            "id": self.destination.id,
            "name": self.destination.name,
            "state": self.state,
            "since": round(self.since, 3),
            "reason": self.reason,
            "bytes_sent": sent,
            "bytes_acked": acked,
            "queue_bytes": queued,
            "bitrate_kbps": self._meter.kbps(now, acked) if self.ready else 0.0,
            "reconnects": self.reconnects,
            "drops": self.drops,
            "lag_ms": self._lag_ms(now, queued),
            "renewal": self.broadcast.status(now, self.destination.renew_every_s),
        }

    def rejoin(self) -> None:
        """The packets are no longer in one row: begin again at the next key frame."""
        self._joined = frozenset()

    def retry(self) -> None:
        """Try now, if it waits: what was in the way is said to be gone."""
        self._pause.end()

    def fail(self, reason: str) -> None:
        """A bug in this leg: say so and begin anew, the others know nothing of it."""
        if self._link is not None:
            self._link.abort(Temporary(reason))
        self._become("failed", reason)

    def _lag_ms(self, now: float, queued: int) -> int:
        """How long the stream, at its present rate, takes to make as many bytes as are queued."""
        kbps = self._flow.kbps(now, self._offered)
        return round(queued * 8 / kbps) if kbps else 0

    def _totals(self) -> tuple[int, int]:
        sent, acked = self._earlier
        if self._link is None:
            return sent, acked
        return sent + self._link.sent, acked + self._link.measure()[1]

    def _judge(self, link: Carried, acked: int, now: float) -> None:
        silent_s, unacknowledged_s = self._signs.silent_s(now), self._signs.unacknowledged_s(now)
        if silent_s >= STALLED_S:
            link.abort(Temporary(link.silence(STALLED_S)))
        elif unacknowledged_s >= STALLED_S:
            link.abort(Unacknowledged("the server no longer acknowledged what it was sent"))
        elif silent_s >= SILENT_S:
            if link.opened:
                self._become("reconnecting", "the server is taking no data")
        elif unacknowledged_s > 0:
            self._become("reconnecting", "the server no longer acknowledges what it is sent")
        elif link.sent > self._media_from > 0 and acked > self._media_from:
            self._go_live()
        if self.state == "live":
            self._retries.is_live(now, self._live_since)

    def _go_live(self) -> None:
        if self.state == "live":
            return
        self.reconnects += self._again
        self._again = False
        self._been_live = True
        self.broadcast.is_live(time.monotonic())
        self._become("live", self.LIVE_REASON if self._retries.heeds else UNHEEDED)

    async def _run(self) -> None:
        try:
            target = parse_target(self.destination.url, self.destination.key.reveal())
        except TargetError as error:
            self._become("failed", str(error))
            return
        while True:
            ended = await self._attempt(target)
            if self._farewell is None:
                await self._pause.wait(self._after(ended))
            self._farewell = None

    async def _attempt(self, target: Target) -> RtmpError:
        """One connection from its beginning to its end, and why it ended."""
        try:
            link = await self._open(target)
        except RtmpError as error:
            return error
        self._welcome(link)
        await asyncio.wait({link.over})
        self._count(link)
        self._link = None
        return link.over.result()

    def _welcome(self, link: Carried) -> None:
        self._link = link
        self._joined = frozenset()
        self._overflowing = False
        self._queued = 0
        self._media_from = 0
        self._again = self._been_live and self.state != "renewing"
        self._signs = Signs(time.monotonic(), heed=self._retries.heeds)
        self._around.changed()

    def _count(self, link: Carried) -> None:
        self._earlier = (self._earlier[0] + link.sent, self._earlier[1] + link.measure()[1])

    def _after(self, error: RtmpError) -> float:
        """State the reason; seconds to wait before the next attempt."""
        moved = self._around.plan().epoch > 1
        state, wait_s = self._retries.after(error, was_taken=self._earlier[1] > 0, was_moved=moved)
        self._become(state, str(error))
        return wait_s

    def _become(self, state: State, reason: str | None) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        if state != self.state:
            self.since = time.time()
            self._live_since = time.monotonic()
        self.state, self.reason = state, reason
        log.info("destination %s", state, extra={"destination_id": self.destination.id, "reason": reason})
        self._around.changed()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """The task ends by itself only when the URL is unusable; an exception is a bug of ours."""
        if task.cancelled() or task.exception() is None:
            return
        log.error("internal error", exc_info=task.exception(), extra={"destination_id": self.destination.id})
        self.fail(f"internal error ({type(task.exception()).__name__})")
        self._link = None
        asyncio.get_running_loop().call_later(retry_delay(300, self._around.rng), self.start)


Leg = BaseLeg[Any]
"""One, whatever carries it."""
