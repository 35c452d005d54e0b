"""Makes what is follow what is wanted: after each heartbeat, and in a sweep for the rest (RED-3)."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import redis
import structlog
from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.protocol import RunReport
from kit.actors import send_after_commit
from streams import commanding, evacuating, interrupting, lifecycle, tasks
from streams.errors import WrongState
from streams.lifecycle import TIMEOUTS, Event
from streams.models import Run, Status, Stream
from streams.reconcile import GRACE_S, Order, Start, Stop, Update, Wanted, plan
from streams.restart import Cause

log = structlog.get_logger(__name__)
ACTOR_LATE: Final = timedelta(seconds=8)
"""A start whose actor has done nothing for this long: its message is gone, it is queued again."""
LONGEST_GAP: Final = timedelta(seconds=10)
"""Between two sweeps. Longer: nobody was listening meanwhile, whatever the connection says."""
FLEET_HEARD: Final = timedelta(seconds=6)
"""After so long every agent that lives has sent a heartbeat; before, a start would find none of them reachable."""


def converge(vps_id: int, wanted: Iterable[Wanted], held: Iterable[RunReport], now: datetime) -> list[Order]:
    """Compares what one VPS should hold, by the database, with its heartbeat, and sends what follows."""
    orders = plan(wanted, held, now.timestamp())
    for order in orders:
        log.info("reconcile.order", vps=vps_id, order=repr(order))
        _send(vps_id, order, now)
    return orders


def note_stopped(run_ids: Iterable[uuid.UUID], now: datetime) -> None:
    """What was to stop, and is not held any more: it has stopped, and the word of it was lost."""
    before = now - timedelta(seconds=GRACE_S)
    late = Run.objects.filter(
        pk__in=run_ids, stream__run=F("pk"), stream__status=Status.STOPPING, stream__status_since__lt=before
    )
    for run in late:
        log.info("reconcile.stopped", stream=run.stream_id, run=str(run.pk))
        with contextlib.suppress(WrongState):
            lifecycle.fire(run.stream_id, Event.STOPPED, run_id=run.pk, epoch=run.epoch, now=now)


def _send(vps_id: int, order: Order, now: datetime) -> None:
    try:
        match order:
            case Stop(stream_id, run_id, epoch):
                commanding.send_stop(vps_id, stream_id, run_id, epoch, now)
            case Start(run_key):
                commanding.send_start(_run(run_key), now)
            case Update(run_key):
                commanding.send_update(_run(run_key), now)
    except WrongState:
        log.info("reconcile.overtaken", vps=vps_id)
    except redis.RedisError as error:
        log.warning("reconcile.undelivered", vps=vps_id, error=type(error).__name__)


def keys_are_free(run_id: uuid.UUID, epoch: int, now: datetime) -> None:
    """An agent that held the run under `epoch` has let go of it: who holds it since need not wait for its keys."""
    there = Q(vps__isnull=False, commanded_at__isnull=False, epoch__gt=epoch, stream__run=F("pk"))
    run = Run.objects.filter(there, pk=run_id, ended_at__isnull=True).first()
    if run is not None:
        with contextlib.suppress(redis.RedisError):
            commanding.send_retry(run, now)


def _run(run_id: uuid.UUID) -> Run:
    return Run.objects.select_related("stream").get(pk=run_id)


# ------------------------------------------------------------------------------------------------ the sweep


class Sweep:
    """What time alone brings about. Silence proves nothing from before it began to listen, nor while Redis is away:
    streams on air would be given up for it, and stopped by the first heartbeat that comes through again. Nor does it
    when the sweep itself stood still: then the whole process did, or its database, and what was said meanwhile is yet
    to be read."""

    def __init__(self, listening_since: datetime | None = None) -> None:
        self.listening_since = listening_since
        """None: nobody could be heard now."""
        self._done_at: datetime | None = None
        self._queued_at: dict[tuple[uuid.UUID, int], datetime] = {}

    def run(self, now: datetime) -> int:
        """How many streams were resolved or nudged."""
        if self._done_at is not None and now - self._done_at > LONGEST_GAP:
            self.heard_nothing(now)
        heard = now - self.listening_since if self.listening_since else timedelta()
        done = move_lost(now) if heard > settings.HEARTBEAT_FRESH else 0
        done += evacuating.run(now) if heard > FLEET_HEARD else 0
        done += self.resolve_overdue(now, heard)
        done += self.queue_late_starts(now) if heard > FLEET_HEARD else 0
        self._done_at = now
        return done

    def heard_nothing(self, now: datetime) -> None:
        """Until now, although we were connected."""
        if self.listening_since is not None:
            self.listening_since = now

    def resolve_overdue(self, now: datetime, heard: timedelta) -> int:
        return sum(resolve_overdue(status, limit, now) for status, limit in TIMEOUTS.items() if heard > limit)

    def queue_late_starts(self, now: datetime) -> int:
        """Starts whose actor was lost, and those whose next try is due."""
        late = Q(retry_at__isnull=True, requested_at__lt=now - ACTOR_LATE) | Q(retry_at__lte=now)
        rows = Run.objects.filter(
            late, commanded_at__isnull=True, ended_at__isnull=True, stream__status=Status.STARTING, stream__run=F("pk")
        )
        due = [key for key in rows.values_list("pk", "epoch") if self._is_due(key, now)]
        for run_id, epoch in due:
            log.info("stream.start_queued_again", run=str(run_id), epoch=epoch)
            self._queued_at[run_id, epoch] = now
            send_after_commit(tasks.start_stream, str(run_id), robust=True)
        self._queued_at = {key: at for key, at in self._queued_at.items() if now - at <= ACTOR_LATE * 2}
        return len(due)

    def _is_due(self, key: tuple[uuid.UUID, int], now: datetime) -> bool:
        before = self._queued_at.get(key)
        return before is None or now - before > ACTOR_LATE


def move_lost(now: datetime) -> int:
    """Runs whose VPS is silent go elsewhere. It may still play them: an agent that was only suspended finds the order
    to stop before anything else."""
    silent_s = settings.HEARTBEAT_FRESH.total_seconds()
    done = 0
    for run in interrupting.lost(now - settings.HEARTBEAT_FRESH):
        heard_at = run.vps.last_heartbeat_at if run.vps else None
        words = interrupting.lost_words(run, silent_s)
        moved = interrupting.interrupt(run, Cause.LOST, words, now, heard_at=heard_at)
        done += moved
        if moved and run.vps_id is not None:
            _send(run.vps_id, Stop(run.stream_id, str(run.pk), run.epoch), now)
    return done


def resolve_overdue(status: Status, limit: timedelta, now: datetime | None = None) -> int:
    """What gave no sign of life in `status` for longer than `limit`: what was wanted off air is, what was wanted on
    air is tried elsewhere or given up."""
    now = now or timezone.now()
    return sum(_time_out(stream, limit, now) for stream in _silent(status, now, limit).select_related("run__vps"))


def _silent(status: Status, now: datetime, limit: timedelta) -> QuerySet[Stream]:
    before = now - limit
    rows = Stream.objects.filter(status=status, status_since__lt=before, run__isnull=False)
    if status is Status.STARTING:
        return rows.exclude(run__progress_rows__at__gte=before).exclude(run__retry_at__gt=before)
    if status is Status.STREAMING:
        # Who is on air holds a slot: so the index of those leads to the runs, and not a look at all there ever were.
        held = rows.filter(run__slot_released_at__isnull=True, run__vps__isnull=False)
        return held.filter(Q(run__reported_at__lt=before) | Q(run__reported_at__isnull=True))
    return rows


def _time_out(stream: Stream, limit: timedelta, now: datetime) -> bool:
    if stream.run is None:
        return False
    vps = stream.run.vps.name if stream.run.vps else _("the VPS")
    words = {"vps": vps, "seconds": int(limit.total_seconds())}
    if stream.state is Status.STOPPING:
        return _stopped_unheard(stream.pk, stream.run.pk, _("«%(vps)s» did not confirm within %(seconds)d s.") % words)
    message = {
        Status.STARTING: _("«%(vps)s» made no progress for %(seconds)d s") % words,
        Status.STREAMING: _("nothing was heard of «%(vps)s» for %(seconds)d s") % words,
    }[stream.state]
    heard_at = stream.run.reported_at if stream.state is Status.STREAMING else None
    return interrupting.interrupt(stream.run, Cause.STUCK, message, now, heard_at=heard_at)


def _stopped_unheard(stream_id: int, run_id: uuid.UUID, message: str) -> bool:
    try:
        lifecycle.fire(stream_id, Event.TIMED_OUT, run_id=run_id, message=message)
    except WrongState:
        return False
    return True
