"""Makes what is follow what is wanted: after each heartbeat, and in a sweep for the rest (RED-3)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import redis
import structlog
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.protocol import RunReport
from kit.actors import send_after_commit
from streams import commanding, lifecycle, tasks
from streams.errors import WrongState
from streams.lifecycle import TIMEOUTS, Event
from streams.models import Run, Status, Stream
from streams.reconcile import Order, Start, Stop, Update, Wanted, plan

log = structlog.get_logger(__name__)
ACTOR_LATE: Final = timedelta(seconds=8)
"""A start whose actor has done nothing for this long: its message is gone, it is queued again."""
FLEET_HEARD: Final = timedelta(seconds=6)
"""After so long every agent that lives has sent a heartbeat; before, a start would find none of them reachable."""


def converge(vps_id: int, held: Iterable[RunReport], now: datetime) -> list[Order]:
    """Compares one VPS's heartbeat with the database and sends what follows."""
    orders = plan(wanted_on(vps_id), held, now.timestamp())
    for order in orders:
        log.info("reconcile.order", vps=vps_id, order=repr(order))
        _send(vps_id, order, now)
    return orders


def wanted_on(vps_id: int) -> list[Wanted]:
    rows = Run.objects.holding().filter(
        vps_id=vps_id, stream__run=F("pk"), stream__status__in=[Status.STARTING, Status.STREAMING]
    )
    return [
        Wanted(
            run.stream_id,
            run.pk,
            run.epoch,
            run.fingerprint,
            run.commanded_at.timestamp() if run.commanded_at else None,
        )
        for run in rows
    ]


def _send(vps_id: int, order: Order, now: datetime) -> None:
    try:
        match order:
            case Stop(stream_id, run_id):
                commanding.send_stop(vps_id, stream_id, run_id, now)
            case Start(run_key):
                commanding.send_start(_run(run_key), now)
            case Update(run_key):
                commanding.send_update(_run(run_key), now)
    except redis.RedisError as error:
        log.warning("reconcile.undelivered", vps=vps_id, error=type(error).__name__)


def _run(run_id: uuid.UUID) -> Run:
    return Run.objects.select_related("stream").get(pk=run_id)


# ------------------------------------------------------------------------------------------------ the sweep


class Sweep:
    """What time alone brings about. Silence proves nothing from before it began to listen, nor while Redis is away:
    streams on air would be given up for it, and stopped by the first heartbeat that comes through again."""

    def __init__(self, listening_since: datetime | None = None) -> None:
        self.listening_since = listening_since
        """None: nobody could be heard now."""
        self._queued_at: dict[uuid.UUID, datetime] = {}

    def run(self, now: datetime) -> int:
        """How many streams were resolved or nudged."""
        heard = now - self.listening_since if self.listening_since else timedelta()
        return self.resolve_overdue(now, heard) + (self.queue_late_starts(now) if heard > FLEET_HEARD else 0)

    def resolve_overdue(self, now: datetime, heard: timedelta) -> int:
        return sum(resolve_overdue(status, limit, now) for status, limit in TIMEOUTS.items() if heard > limit)

    def queue_late_starts(self, now: datetime) -> int:
        late = Run.objects.filter(
            commanded_at__isnull=True, ended_at__isnull=True, stream__status=Status.STARTING,
            requested_at__lt=now - ACTOR_LATE,
        )  # fmt: skip
        due = [run_id for run_id in late.values_list("pk", flat=True) if self._is_due(run_id, now)]
        for run_id in due:
            log.warning("stream.start_queued_again", run=str(run_id))
            self._queued_at[run_id] = now
            send_after_commit(tasks.start_stream, str(run_id), robust=True)
        return len(due)

    def _is_due(self, run_id: uuid.UUID, now: datetime) -> bool:
        before = self._queued_at.get(run_id)
        return before is None or now - before > ACTOR_LATE


def resolve_overdue(status: Status, limit: timedelta, now: datetime | None = None) -> int:
    """Fires TIMED_OUT on every stream that gave no sign of life in `status` for longer than `limit`."""
    now = now or timezone.now()
    done = 0
    for stream in _silent(status, now - limit).select_related("run__vps"):
        done += _time_out(stream, limit, now)
    return done


def _silent(status: Status, before: datetime) -> QuerySet[Stream]:
    rows = Stream.objects.filter(status=status, status_since__lt=before, run__isnull=False)
    if status is Status.STARTING:
        return rows.exclude(run__progress_rows__at__gte=before)
    if status is Status.STREAMING:
        return rows.exclude(run__reported_at__gte=before)
    return rows


def _time_out(stream: Stream, limit: timedelta, now: datetime) -> bool:
    if stream.run is None:
        return False
    vps = stream.run.vps.name if stream.run.vps else _("the VPS")
    words = {"vps": vps, "seconds": int(limit.total_seconds())}
    message = {
        Status.STARTING: _("«%(vps)s» made no progress for %(seconds)d s.") % words,
        Status.STREAMING: _("Nothing was heard of «%(vps)s» for %(seconds)d s.") % words,
        Status.STOPPING: _("«%(vps)s» did not confirm within %(seconds)d s.") % words,
    }[stream.state]
    try:
        lifecycle.fire(stream.pk, Event.TIMED_OUT, run_id=stream.run.pk, message=message, now=now)
    except WrongState:
        return False
    return True
