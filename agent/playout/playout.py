"""The one loop: what is due by the clock goes from the programme to every destination, a dozen times a second.

It waits for nothing but its tick: files are read, servers spoken to and orders taken in tasks beside it.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Literal

from . import account, still
from .connect import trusting
from .gop import Gop
from .leg import Leg, Surroundings
from .live import LiveInputs
from .meter import Meter, queue_limit
from .opening import Opening
from .outputs import Outputs
from .packets import Batch, Packet
from .plan import Item, Plan
from .playlist import Playlist
from .programme import NOT_DUE, Programme
from .renewals import WHOLE, Renewals
from .source import Place
from .steering import Ticks, carry_out

TICK_S: Final = 0.08
"""A receiver sees a gap of one tick and a bit at all times; it is to be at most 100 ms."""
LEAD_MS: Final = 700
"""Media sent ahead of the clock: it starts a player fast, bridges a slow disk, and makes recordings so much longer."""
MADE_AHEAD_MS: Final = 240
"""Packets are made for four ticks at once: a process that has slept finds nothing of its own in the processor's caches,
and the first packet costs as much as the next six.
"""
DRY_MS: Final = 300
"""With less than this sent ahead the slate comes: a slow disk has had its time, and no receiver has seen a gap."""
HICCUP_S: Final = 2.0
BUGS_IN_A_ROW: Final = 20

Phase = Literal["waiting", "playing", "slate", "stopping", "ended"]
log = logging.getLogger(__name__)


class Playout:
    """`changed` is set whenever phase, item or a destination's state is another."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self.plan = plan
        self.phase: Phase = "waiting"
        self.started_at = time.time()
        self.changed = asyncio.Event()
        playlist = Playlist(plan.items, plan.order, plan.loop, rng)
        inputs = LiveInputs(
            lambda: self.plan.ffmpeg, self._wake_up, lambda: self.plan.reach_private, lambda: self.plan.ca_file
        )
        self.programme = Programme(playlist, inputs, self._wake_up, slate=plan.slate)
        self.outputs = Outputs(Surroundings(self.changed.set, self._tls, lambda: self.plan, rng))
        self._ended: asyncio.Future[str] | None = None
        self._alarm: asyncio.Handle | None = None
        self._over: str | None = None
        self._anchor: float | None = None
        self._ticked = self._grid = time.monotonic()
        self._opening = Opening(self._grid)
        self._renewals = Renewals(self.outputs, self._grid)
        self._resume: dict[str, Any] | None = None
        self._ticks = Ticks()
        self._tls_context: ssl.SSLContext | None = None
        self._meter = Meter()
        self._gop = Gop()
        self._bytes = 0
        self._made: deque[Packet] = deque()
        self._made_to = NOT_DUE
        self._hurried = False
        self._limit = queue_limit(0.0)
        self._bugs = 0
        self._shown: object = None
        self._last_item: Item | None = None
        self.key_frame: Packet | None = None
        """The newest on air."""

    async def run(self) -> str:
        """Until the list has ended («finished»), the order to stop has come («stopped») or all of it is to begin anew
        («restarted»)."""
        self._renewals.restart_every_s = self.plan.restart_every_s
        self.outputs.apply(self.plan.destinations)
        self._ended = asyncio.get_running_loop().create_future()
        self._turn()
        reason = await self._ended
        await self._leave()
        return reason

    def stop(self, reason: str = "stopped") -> None:
        self._over = self._over or reason
        self._show("stopping")
        self._wake_up()

    async def steer(self, order: str, item_id: int | None) -> int | None:
        """Carries the order out and waits until something has come of it: the id of the item on air then, None for
        the slate. Raises OrderError, and has changed nothing.
        """
        before = self.programme.began
        carry_out(self.programme, order, item_id)
        self.changed.set()
        self._wake_up()
        if order != "play_next":
            await self._ticks.until(lambda: self._over is not None or self.programme.began > before)
        item = self.programme.item
        return item.item_id if item else None

    async def renew(self, destination_id: int | None) -> int | None:
        """Connects a destination anew, or ends its wait for the next attempt. Answers as `steer`, once it is live."""
        leg = self.outputs.renew(destination_id)
        await self._ticks.until(lambda: self._over is not None or leg.state == "live")
        item = self.programme.item
        return item.item_id if item else None

    def begin(self) -> None:
        """A run that begins in the middle of its list."""
        if (begin := self.plan.begin) is not None:
            self.programme.playlist.begin_with(begin.item_id, round(begin.position_s * 1000))

    def resume(self, before: Mapping[str, Any], place: Place, *, paused: bool) -> None:
        """Begin where an earlier process was (its STATUS's «resume»), if the item is still there."""
        items: dict[Any, Item] = {item.item_id: item for item in self.plan.items}
        same_file = (item for item in self.plan.items if item.file_id == before.get("file_id"))
        item = items.get(before.get("item_id")) or next(same_file, None)
        if item is not None and self.programme.playable(item):
            self.programme.begin_at(item, place)
        live = items.get(before.get("live_item_id"))
        if live is not None and live.live_url is not None:
            self.programme.inputs.claim(live)
        self.programme.paused = paused

    def reload(self, plan: Plan) -> None:
        """The plan has changed: apply the difference."""
        if plan.ca_file != self.plan.ca_file:
            self._tls_context = None
        self.plan = plan
        self.programme.edit(plan)
        self._renewals.restart_every_s = plan.restart_every_s
        self.outputs.apply(plan.destinations)
        self.changed.set()
        self._wake_up()

    def status(self) -> dict[str, Any]:
        """STATUS, see the package's docstring."""
        now = time.monotonic()
        return {
            "stream_id": self.plan.stream_id,
            "run_id": self.plan.run_id,
            "epoch": self.plan.epoch,
            "phase": self.phase,
            "started_at": round(self.started_at, 3),
            **account.of_programme(self.programme, self._item()),
            "resume": self._resume or account.resume_point(self.programme),
            "restart": self._renewals.status(now, time.time()),
            "written_at": round(time.time(), 3),
            "bitrate_kbps": self._meter.kbps(now, self._bytes),
            "destinations": self.outputs.status(now),
        }

    def _tick(self, now: float) -> None:
        if now - self._ticked > HICCUP_S and self._anchor is not None:
            self._anchor += now - self._ticked  # the process was stopped or starved: go on, do not race
        self._ticked = now
        self.programme.patient = self._opening.is_patient(now)
        if self._anchor is None and self._opening.may_begin(self.outputs.legs.values(), now):
            self._anchor = now - self.programme.timeline.end / 1000
        if self._anchor is not None and self._over is None:
            self._play(now, self._anchor)
        self.outputs.each(lambda leg: leg.check(now))
        self._notice_changes()

    def _play(self, now: float, anchor: float) -> None:
        on_air = int((now - anchor) * 1000)
        due = on_air + LEAD_MS
        if due > self._made_to or self._hurried or self.programme.state != "playing":
            self._make(now, on_air)
        packets: list[Packet] = []
        while self._made and self._made[0].timestamp <= due:
            packets.append(self._made.popleft())
        cut = self._renewals.cut(packets, now)
        self._send(packets[: cut.at])
        if cut.who == WHOLE:
            self._resume = account.resume_point(self.programme) | {"left_at": time.time()}
            self.stop("restarted")
        elif cut.who is not None:
            self.outputs.legs[cut.who].renew()
            self._send(packets[cut.at :])
        self._meter.note(now, self._bytes)

    def _send(self, packets: list[Packet]) -> None:
        if not packets:
            return
        batch, limit = Batch(packets, self._gop.packets), self._limit
        self._bytes += len(batch.joined)
        self.outputs.each(lambda leg: leg.send(batch, limit))
        self._gop.add(packets)

    def _make(self, now: float, on_air: int) -> None:
        self._hurried = False
        self._made_to = on_air + LEAD_MS + MADE_AHEAD_MS
        packets = self._pull(self._made_to, on_air + DRY_MS if self._slate_may_come(now) else NOT_DUE)
        self._made.extend(packets)
        self.key_frame = still.newest_key_frame(packets) or self.key_frame
        self._limit = self._queue_limit(now)
        self._follow_programme(now, on_air)

    def _follow_programme(self, now: float, on_air: int) -> None:
        """When nothing more comes and what was sent ahead is over: wait (the slate's place), or end."""
        end = self.programme.timeline.end
        if self.programme.finished and (on_air >= end or self.programme.slate_reason):
            self.stop("finished")
        elif self.programme.slate_reason:
            self._show("slate")
        elif self.programme.state == "playing" or on_air < end:
            self._show("playing" if self.programme.item else self.phase)
        else:
            self._anchor = now - end / 1000
            self._show("waiting")

    def _slate_may_come(self, now: float) -> bool:
        return self.programme.began > 0 or self._opening.slate_may_come(now)

    def _pull(self, limit: int, must: int) -> list[Packet]:
        try:
            packets = self.programme.pull(limit, must)
        except Exception as error:  # the guard: whatever is wrong with one item, the stream goes on with the next
            self._bugs += 1
            if self._bugs >= BUGS_IN_A_ROW:
                raise
            log.exception("internal error")
            self.programme.abandon(f"internal error ({type(error).__name__})")
            self.outputs.each(Leg.rejoin)
            return []
        self._bugs = 0
        return packets

    def _queue_limit(self, now: float) -> int:
        return queue_limit(self._meter.kbps(now, self._bytes))

    def _notice_changes(self) -> None:
        item = self._item()
        shown = (self.phase, item.item_id if item else None, self.programme.slate_reason)
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

    async def _leave(self) -> None:
        self._show("stopping")
        self.programme.close()
        await asyncio.gather(self.outputs.leave(), self.programme.inputs.close())
        self._show("ended")

    def _tls(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = trusting(self.plan.ca_file)
        return self._tls_context

    def _turn(self) -> None:
        """A tick, and the alarm for the next. No task: to be woken one takes a second round of the loop."""
        loop, ended = asyncio.get_running_loop(), self._ended
        if ended is None or ended.done():
            return
        if self._over is None:
            now = time.monotonic()
            try:
                self._tick(now)
            except Exception as error:  # a callback's would be lost: `run` raises it
                ended.set_exception(error)
                return
            self._ticks.passed()
            self._grid = max(self._grid + TICK_S, now) if now >= self._grid else self._grid
        if self._over is None:
            self._set_alarm(loop.call_at(self._grid, self._turn))
        else:
            ended.set_result(self._over)

    def _wake_up(self) -> None:
        """The next tick is now, and looks at everything."""
        self._hurried = True
        if self._ended is not None:
            self._set_alarm(asyncio.get_running_loop().call_soon(self._turn))

    def _set_alarm(self, alarm: asyncio.Handle) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = alarm
