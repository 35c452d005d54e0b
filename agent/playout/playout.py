"""The one loop: what is due by the clock goes from the programme to every destination, ten times a second.

It waits for nothing but its tick: files are read, servers spoken to and orders taken in tasks beside it.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, Literal

from . import still
from .connect import trusting
from .leg import Leg, Surroundings
from .legs import make_leg
from .meter import Meter
from .packets import Batch, Packet
from .plan import Destination, Item, Plan
from .playlist import Playlist
from .programme import Programme

TICK_S: Final = 0.1
LEAD_MS: Final = 700
"""Media sent ahead of the clock: the burst that starts a player fast and bridges a slow disk. It is also how much
longer a recording is than the time on air."""
HICCUP_S: Final = 2.0
OPENING_LIMIT_S: Final = 10.0
"""So long a list in order waits for its first item while others could play already."""
BEGIN_LIMIT_S: Final = 2.0
BEGIN_GRACE_S: Final = 0.4
QUEUE_S: Final = 5.0
QUEUE_BYTES: Final = (512 * 1024, 8 * 1024 * 1024)
BUGS_IN_A_ROW: Final = 20

Phase = Literal["waiting", "playing", "stopping", "ended"]
log = logging.getLogger(__name__)


class OrderError(Exception):
    """The order cannot be carried out; the text is the answer."""


class Playout:
    """`changed` is set whenever phase, item or a destination's state is another."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self.plan = plan
        self.phase: Phase = "waiting"
        self.started_at = time.time()
        self.changed = asyncio.Event()
        self.programme = Programme(Playlist(plan.items, plan.order, plan.loop, rng), self._wake_up)
        self._around = Surroundings(self.changed.set, self._tls, lambda: self.plan, rng)
        self._legs: dict[int, Leg] = {}
        self._leaving: dict[int, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._over: str | None = None
        self._anchor: float | None = None
        self._started = self._ticked = time.monotonic()
        self._first_ready: float | None = None
        self._tls_context: ssl.SSLContext | None = None
        self._meter = Meter()
        self._bytes = 0
        self._bugs = 0
        self._shown: object = None
        self._last_item: Item | None = None
        self.key_frame: Packet | None = None
        """The newest on air."""

    async def run(self) -> str:
        """Until the list has ended («finished») or the order to stop has come («stopped»)."""
        for destination in self.plan.destinations:
            self._add(destination)
        grid = time.monotonic()
        while self._over is None:
            now = time.monotonic()
            self._tick(now)
            grid = max(grid + TICK_S, now) if now >= grid else grid
            await self._sleep_until(grid)
        await self._leave()
        return self._over

    def stop(self, reason: str = "stopped") -> None:
        self._over = self._over or reason
        self._show("stopping")
        self._wake_up()

    def next(self) -> None:
        self.programme.next()
        self._wake_up()

    def jump(self, item_id: int) -> None:
        """Raises OrderError."""
        item = self.programme.playlist.find(item_id)
        if item is None:
            raise OrderError("there is no such item in the list")
        if not self.programme.playable(item):
            raise OrderError(self.programme.why_not(item))
        self.programme.jump(item)
        self._wake_up()

    def resume(self, item_id: int | None, file_id: int | None, position_s: float) -> None:
        """Begin where an earlier process was, if the item is still there."""
        items = self.plan.items
        same = next((item for item in items if item.item_id == item_id), None)
        item = same or next((item for item in items if item.file_id == file_id), None)
        if item is not None and self.programme.playable(item):
            self.programme.resume(item, position_s)

    def reload(self, plan: Plan) -> None:
        """The plan has changed: apply the difference."""
        if plan.ca_file != self.plan.ca_file:
            self._tls_context = None
        self.plan = plan
        self.programme.edit(plan)
        wanted = {destination.id: destination for destination in plan.destinations}
        for gone in self._legs.keys() - wanted.keys():
            self._remove(self._legs.pop(gone))
        for destination in plan.destinations:
            self._adjust(destination)
        self._legs = {each: self._legs[each] for each in wanted}
        self.changed.set()
        self._wake_up()

    def status(self) -> dict[str, Any]:
        """STATUS, see the package's docstring."""
        now = time.monotonic()
        programme, item = self.programme, self._item()
        return {
            "stream_id": self.plan.stream_id,
            "run_id": self.plan.run_id,
            "epoch": self.plan.epoch,
            "phase": self.phase,
            "started_at": round(self.started_at, 3),
            "item_id": item.item_id if item else None,
            "file_id": item.file_id if item else None,
            "title": item.title if item else None,
            "position_s": round(programme.position_ms / 1000, 3) if item else 0.0,
            "duration_s": item.duration_s if item else None,
            "items_played": programme.items_played,
            "next_item_ids": programme.playlist.upcoming(3, programme.playable),
            "skipped": [{"file_id": each.file_id, "reason": each.reason} for each in programme.skipped],
            "bitrate_kbps": self._meter.kbps(now, self._bytes),
            "destinations": [leg.status(now) for leg in self._legs.values()],
        }

    def _tick(self, now: float) -> None:
        if now - self._ticked > HICCUP_S and self._anchor is not None:
            self._anchor += now - self._ticked  # the process was stopped or starved: go on, do not race
        self._ticked = now
        self.programme.patient = now - self._started < OPENING_LIMIT_S
        if self._anchor is None and self._may_begin(now):
            self._anchor = now - self.programme.timeline.end / 1000
        if self._anchor is not None and self._over is None:
            self._play(now, self._anchor)
        self._each_leg(lambda leg: leg.check(now))
        self._notice_changes()

    def _play(self, now: float, anchor: float) -> None:
        on_air = int((now - anchor) * 1000)
        packets = self._pull(on_air + LEAD_MS)
        if packets:
            self.key_frame = still.newest_key_frame(packets) or self.key_frame
            batch = Batch(packets)
            self._bytes += len(batch.joined)
            limit = self._queue_limit(now)
            self._each_leg(lambda leg: leg.send(batch, limit))
        self._meter.note(now, self._bytes)
        self._follow_programme(now, on_air)

    def _follow_programme(self, now: float, on_air: int) -> None:
        """When nothing more comes and what was sent ahead is over: wait (the slate's place), or end."""
        end = self.programme.timeline.end
        state = self.programme.state
        if state == "playing" or on_air < end:
            self._show("playing" if self.programme.item else self.phase)
        elif state == "finished":
            self.stop("finished")
        else:
            self._anchor = now - end / 1000
            self._show("waiting")

    def _pull(self, limit: int) -> list[Packet]:
        try:
            packets = self.programme.pull(limit)
        except Exception as error:  # the guard: whatever is wrong with one item, the stream goes on with the next
            self._bugs += 1
            if self._bugs >= BUGS_IN_A_ROW:
                raise
            log.exception("internal error")
            self.programme.abandon(f"internal error ({type(error).__name__})")
            self._each_leg(Leg.rejoin)
            return []
        self._bugs = 0
        return packets

    def _each_leg(self, act: Callable[[Leg], None]) -> None:
        for leg in self._legs.values():
            try:
                act(leg)
            except Exception as error:  # the guard: a bug in one destination's leg stays there
                log.exception("internal error", extra={"destination_id": leg.destination.id})
                leg.fail(f"internal error ({type(error).__name__})")

    def _may_begin(self, now: float) -> bool:
        """The first frame waits a moment for the destinations: who misses it waits for a key frame."""
        legs = self._legs.values()
        if self._first_ready is None and any(leg.ready for leg in legs):
            self._first_ready = now
        if not any(leg.pending for leg in legs) or now - self._started >= BEGIN_LIMIT_S:
            return True
        return self._first_ready is not None and now - self._first_ready >= BEGIN_GRACE_S

    def _queue_limit(self, now: float) -> int:
        """Bytes that may wait for a destination. The burst at the start comes before any rate is known."""
        low, high = QUEUE_BYTES
        kbps = self._meter.kbps(now, self._bytes)
        return min(high, max(low, int(kbps * 1000 / 8 * QUEUE_S))) if kbps else high

    def _notice_changes(self) -> None:
        item = self._item()
        shown = (self.phase, item.item_id if item else None)
        if shown != self._shown:
            self._shown = shown
            log.info("phase %s", self.phase, extra={"item_id": shown[1]})
            self.changed.set()

    def _item(self) -> Item | None:
        """The one on air: the last one too, while what was sent ahead of it plays."""
        item = self.programme.item
        if item is not None or self.phase != "playing":
            self._last_item = item
        return self._last_item

    def _show(self, phase: Phase) -> None:
        if self.phase != phase:
            self.phase = phase
            self.changed.set()

    def _adjust(self, destination: Destination) -> None:
        leg = self._legs.get(destination.id)
        if leg is None:
            self._add(destination)
        elif leg.destination.enabled == destination.enabled and leg.destination.same_place(destination):
            leg.destination = destination
        else:
            self._remove(leg)
            self._add(destination)

    def _add(self, destination: Destination) -> None:
        leg = make_leg(destination, self._around)
        self._legs[destination.id] = leg
        before = self._leaving.get(destination.id)
        if before is None:
            leg.start()
        else:  # its own old connection may still hold the key
            before.add_done_callback(lambda _: leg.start())

    def _remove(self, leg: Leg) -> None:
        key = leg.destination.id
        task = asyncio.create_task(leg.stop(), name=f"leave {key}")
        self._leaving[key] = task
        task.add_done_callback(lambda done: self._left(key, done))

    def _left(self, key: int, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]

    async def _leave(self) -> None:
        self._show("stopping")
        self.programme.close()
        for leg in self._legs.values():
            self._remove(leg)
        if self._leaving:
            await asyncio.wait(self._leaving.values())
        self._show("ended")

    def _tls(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = trusting(self.plan.ca_file)
        return self._tls_context

    def _wake_up(self) -> None:
        self._woken.set()

    async def _sleep_until(self, moment: float) -> None:
        loop = asyncio.get_running_loop()
        self._woken.clear()
        alarm = loop.call_at(moment, self._woken.set)
        await self._woken.wait()
        alarm.cancel()
