"""One destination: its connection, its bounded queue, its retries and its state, whatever way it is pushed. Nothing
here can hold up another.
"""

import asyncio
import logging
import random
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Literal, TypeVar

from .backoff import MOVED_S, REFUSED_S, STABLE_S, refused_delay, retry_delay
from .carrier import Carrier
from .link import Closed, Misconfigured
from .meter import Meter
from .packets import Batch
from .pause import Pause
from .plan import Destination, Plan
from .rtmp import Phase, Refused, RtmpError, Temporary
from .signs import Signs
from .target import Target, TargetError, parse_target

State = Literal["connecting", "live", "reconnecting", "refused", "failed", "disabled"]
SILENT_S: Final = 4.0
STALLED_S: Final = 10.0
CHECK_S: Final = 0.4
"""So often a destination that is well is looked at; the queue it may have is longer than what goes out in between."""
UNHEEDED_AFTER: Final = 2
"""So many connections were given up because the server's acknowledgements ended: then those prove nothing."""
UNHEEDED: Final = "the server stops acknowledging after a while: judged by what its network takes"

log = logging.getLogger(__name__)


class Unacknowledged(Temporary):
    """Bytes go out, and the server no longer says that it has them."""


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
        self._healthy_at = time.monotonic()
        self._signs = Signs(self._healthy_at)
        self._live_since = self._healthy_at
        self._closed_on_key = 0
        self._refusals = 0
        self._unacknowledged = 0
        self._stopped = False
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
        return self._link is not None and not self._link.over.done()

    @property
    def pending(self) -> bool:
        """Its first attempt is under way: worth waiting for before the first frame."""
        return self.state == "connecting" and not self.ready

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
            await link.leave()
            self._count(link)

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
        if self.state == "live" and now - self._live_since >= STABLE_S:
            self._healthy_at = now
            self._closed_on_key = self._refusals = 0

    def _go_live(self) -> None:
        if self.state == "live":
            return
        self.reconnects += self._again
        self._again = False
        self._been_live = True
        self._become("live", UNHEEDED if self._unacknowledged >= UNHEEDED_AFTER else self.LIVE_REASON)

    async def _run(self) -> None:
        try:
            target = parse_target(self.destination.url, self.destination.key.reveal())
        except TargetError as error:
            self._become("failed", str(error))
            return
        while True:
            ended = await self._attempt(target)
            await self._pause.wait(self._after(ended))

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
        self._again = self._been_live
        self._signs = Signs(time.monotonic(), heed=self._unacknowledged < UNHEEDED_AFTER)
        self._around.changed()

    def _count(self, link: Carried) -> None:
        self._earlier = (self._earlier[0] + link.sent, self._earlier[1] + link.measure()[1])

    def _after(self, error: RtmpError) -> float:
        """State the reason; seconds to wait before the next attempt."""
        reason = str(error)
        self._unacknowledged += isinstance(error, Unacknowledged)
        if isinstance(error, Refused) or self._turned_away(error):
            self._become("refused", reason)
            return self._after_refusal()
        if isinstance(error, Misconfigured):
            self._become("failed", reason)
            return refused_delay(self._around.rng)
        self._become("reconnecting", reason)
        return retry_delay(time.monotonic() - self._healthy_at, self._around.rng)

    def _after_refusal(self) -> float:
        """Our own connection of a moment ago may hold the key: then, and the first time, ask again soon. So may that
        of the server the run was on before."""
        self._refusals += 1
        out_s = time.monotonic() - self._healthy_at
        ours_s = REFUSED_S if self._earlier[1] > 0 else MOVED_S if self._around.plan().epoch > 1 else 0.0
        soon = self._refusals == 1 or out_s < ours_s
        return retry_delay(out_s, self._around.rng) if soon else refused_delay(self._around.rng)

    def _turned_away(self, error: RtmpError) -> bool:
        """Many platforms say no to a key by closing: once may be chance, twice is an answer."""
        on_key = isinstance(error, Closed) and error.phase is Phase.PUBLISH
        self._closed_on_key = self._closed_on_key + 1 if on_key else 0
        return self._closed_on_key >= 2

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
