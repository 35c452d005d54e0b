"""The states of a stream: the only writer of `Stream.status`.

`TRANSITIONS` and `TIMEOUTS` are the whole story; `fire` is one conditional UPDATE that holds only in the state
and the run it was meant for. Entering a resting state ends the run and gives its VPS slot back in the same
transaction, so no resting stream can hold one.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import progress
from streams.errors import WrongState
from streams.models import EndReason, Run, Status, Stream, Transition

log = structlog.get_logger(__name__)


class Event(StrEnum):
    """What can happen to a stream."""

    START = "start"
    """Somebody wants it on air. Makes its run the current one."""
    LIVE = "live"
    """The agent says it is on air."""
    STOP = "stop"
    """Somebody wants it off air."""
    STOPPED = "stopped"
    """The agent ended it: because we asked, or because the playlist did."""
    INTERRUPTED = "interrupted"
    """Its VPS is gone or gave up: it is to be started again, elsewhere if it can be (STR-13)."""
    MOVED = "moved"
    """It is well, and is to go on on another VPS (FLT-5)."""
    FAILED = "failed"
    """It cannot go on: no VPS, a command nobody took, something only its owner can put right, too many tries."""
    FORCED = "forced"
    """An operator ends it on paper, whatever the agent says."""
    TIMED_OUT = "timed_out"
    """Nothing was heard for longer than TIMEOUTS allows."""


INACTIVE, STARTING, STREAMING, STOPPING, ERROR = Status

TRANSITIONS: Final[dict[tuple[Status, Event], Status]] = {
    (INACTIVE, Event.START): STARTING,
    (ERROR, Event.START): STARTING,
    (STARTING, Event.LIVE): STREAMING,
    (STARTING, Event.STOP): STOPPING,
    (STREAMING, Event.STOP): STOPPING,
    (ERROR, Event.STOP): STOPPING,
    (STARTING, Event.INTERRUPTED): STARTING,
    (STREAMING, Event.INTERRUPTED): STARTING,
    (STREAMING, Event.MOVED): STARTING,
    (STARTING, Event.STOPPED): INACTIVE,
    (STREAMING, Event.STOPPED): INACTIVE,
    (STOPPING, Event.STOPPED): INACTIVE,
    (STARTING, Event.FAILED): ERROR,
    (STREAMING, Event.FAILED): ERROR,
    (STOPPING, Event.FAILED): INACTIVE,
    (STARTING, Event.FORCED): INACTIVE,
    (STREAMING, Event.FORCED): INACTIVE,
    (STOPPING, Event.FORCED): INACTIVE,
    (STARTING, Event.TIMED_OUT): ERROR,
    (STREAMING, Event.TIMED_OUT): ERROR,
    (STOPPING, Event.TIMED_OUT): INACTIVE,
}

TIMEOUTS: Final[dict[Status, timedelta]] = {Status(status): limit for status, limit in settings.STREAM_TIMEOUTS.items()}
"""How long each non-resting state may last without a sign of life before TIMED_OUT is fired (STR-2)."""

END_REASONS: Final[dict[tuple[Status, Event], EndReason]] = {
    (STARTING, Event.STOPPED): EndReason.FINISHED,
    (STREAMING, Event.STOPPED): EndReason.FINISHED,
    (STOPPING, Event.STOPPED): EndReason.STOPPED,
    (STARTING, Event.FAILED): EndReason.FAILED,
    (STREAMING, Event.FAILED): EndReason.FAILED,
    (STOPPING, Event.FAILED): EndReason.STOPPED,
    (STARTING, Event.FORCED): EndReason.STOPPED,
    (STREAMING, Event.FORCED): EndReason.STOPPED,
    (STOPPING, Event.FORCED): EndReason.STOPPED,
    (STARTING, Event.TIMED_OUT): EndReason.SILENT,
    (STREAMING, Event.TIMED_OUT): EndReason.LOST,
    (STOPPING, Event.TIMED_OUT): EndReason.SILENT,
}


@dataclass(frozen=True, slots=True)
class _Change:
    stream_id: int
    owner_id: int
    run_id: uuid.UUID
    old: Status
    new: Status
    event: Event
    message: str
    reason: str
    at: datetime


def require(status: Status, event: Event) -> Status:
    """The state `event` leads to; refused with words where there is no edge."""
    new = TRANSITIONS.get((status, event))
    if new is None:
        raise WrongState(_refusal(status, event))
    return new


@again_on_conflict
def fire(
    stream_id: int,
    event: Event,
    *,
    run_id: uuid.UUID,
    epoch: int | None = None,
    actor: User | None = None,
    message: str = "",
    reason: str = "",
    heard_at: datetime | None = None,
    now: datetime | None = None,
) -> Transition:
    """Does one transition, or raises `WrongState` and has changed nothing.

    START makes `run_id` (an existing row) the current run; every other event holds only while it is, and with `epoch`
    only while the run is under that one. `reason` (an `EndReason`) overrides the table's where the run ends by it.
    `heard_at`: where it is known by silence alone, since when.
    Browsers are told after the commit.
    """
    with transaction.atomic():
        lock(stream_id)
        _require_epoch(run_id, epoch)
        change = _change(stream_id, event, run_id, message, reason, now or timezone.now())
        _write(change)
        if change.new.is_resting:
            _end_run(change)
        transition = _remember(change, actor, heard_at)
        progress.poke(change.stream_id, change.owner_id)
    log.info("stream.transition", stream=stream_id, run=str(run_id), event_name=event, new=change.new)
    return transition


def lock(stream_id: int) -> None:
    """Whoever changes a stream, or what its run holds, holds its row until the commit. Rows that only point to it may
    still be written meanwhile (NO KEY), so that nobody who locks a run and writes its events waits for us."""
    Stream.objects.select_for_update(no_key=True).filter(pk=stream_id).first()


def _require_epoch(run_id: uuid.UUID, epoch: int | None) -> None:
    """Read behind the lock: epochs change only there."""
    if epoch is not None and not Run.objects.filter(pk=run_id, epoch=epoch).exists():
        raise WrongState(_("Something else just changed this stream. Look again, then try again."))


def _change(stream_id: int, event: Event, run_id: uuid.UUID, message: str, reason: str, now: datetime) -> _Change:
    row = Stream.objects.filter(pk=stream_id).values_list("status", "owner_id").first()
    if row is None:
        raise WrongState(_("The stream is not there any more."))
    old = Status(row[0])
    new = require(old, event)
    why = reason or END_REASONS.get((old, event), "")
    return _Change(stream_id, row[1], run_id, old, new, event, message[:500], why, now)


def _write(change: _Change) -> None:
    rows = Stream.objects.filter(pk=change.stream_id, status=change.old)
    if change.event is not Event.START:
        rows = rows.filter(run_id=change.run_id)
    if rows.update(**_columns(change)) == 0:
        raise WrongState(_("Something else just changed this stream. Look again, then try again."))


def _columns(change: _Change) -> dict[str, Any]:
    columns: dict[str, Any] = {"status": change.new, "status_since": change.at, "updated_at": change.at}
    if change.event is Event.START:
        columns |= {"run_id": change.run_id, "last_started_at": change.at, "failure_reason": ""}
    if change.new is ERROR:
        columns["failure_reason"] = change.message
    if change.new.is_resting:
        columns["last_stopped_at"] = change.at
    return columns


def _end_run(change: _Change) -> None:
    """Once and only once: a run that has ended keeps its first reason, a slot given back is not given twice."""
    Run.objects.filter(pk=change.run_id, ended_at__isnull=True).update(
        ended_at=change.at, end_reason=change.reason, end_message=change.message
    )
    Run.objects.filter(pk=change.run_id, slot_released_at__isnull=True).update(slot_released_at=change.at)


def _remember(change: _Change, actor: User | None, heard_at: datetime | None) -> Transition:
    return Transition.objects.create(
        stream_id=change.stream_id,
        run_id=change.run_id,
        event=change.event,
        old=change.old,
        new=change.new,
        actor=actor,
        message=change.message,
        at=change.at,
        vps_id=Run.objects.filter(pk=change.run_id).values_list("vps_id", flat=True).first(),
        heard_at=heard_at,
    )


def _refusal(status: Status, event: Event) -> str:
    words = {
        (STARTING, Event.START): _("The stream is already starting."),
        (STREAMING, Event.START): _("The stream is already on air."),
        (STOPPING, Event.START): _("The stream is still stopping. Start it again in a moment."),
        (INACTIVE, Event.STOP): _("The stream is already off air."),
        (STOPPING, Event.STOP): _("The stream is already stopping."),
        (INACTIVE, Event.FORCED): _("The stream is already off air."),
        (ERROR, Event.FORCED): _("The stream is already off air."),
    }
    return words.get(
        (status, event), _("This cannot be done while the stream is «%(state)s».") % {"state": status.label}
    )
