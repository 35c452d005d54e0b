"""The look at the clock, once a minute (STR-8): what is due is started and stopped once, whoever looks.

Who wins when people press buttons, too (the page says the same):

* A window opens: the stream is started, unless it is on air already.
* Somebody pressed Start before the window: it is left alone, and stays on air when the window ends.
* Somebody pressed Stop inside the window: it stays off until the window ends. The next window starts it again.
* Somebody pressed Start inside the window: it belongs to the window, and goes off when that ends.
* The schedule is changed while it is on air: what stays inside a window goes on with the new end; what does not is
  on air by hand from then on.

A start that is refused (quota, playlist, no VPS free) is tried again while the window is open, and said once. A run
that fails otherwise is the restart policy's, never ours: two roads that both start would be two broadcasts.

Two schedulers at once: each stream is looked at under its owner's and its own row's lock, and each turn is claimed by
a conditional UPDATE of the window's row, so that the second finds nothing to do.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from fleet import selection
from fleet.candidates import candidates
from kit.conflicts import again_on_conflict
from streams import actions, occurrences, progress, schedule, schedule_spec
from streams.errors import Refused, WrongState
from streams.models import EndReason, Occurrence, OccurrenceState, Schedule, Status, Stream
from streams.schedule import Window
from streams.schedule_spec import ScheduleSpec

log = structlog.get_logger(__name__)
KEPT: Final = timedelta(days=90)
ON_AIR: Final = (Status.STARTING, Status.STREAMING)


def check(now: datetime | None = None) -> int:
    """How many streams were started or stopped, or missed a window. A row that cannot be had now waits a minute."""
    now = now or timezone.now()
    due = Schedule.objects.filter(is_on=True, look_at__lte=now).order_by("look_at")
    done = sum(_safely(stream_id, now) for stream_id in list(due.values_list("stream_id", flat=True)))
    return done + _retry(now)


def forget_old(now: datetime | None = None) -> int:
    """Deletes the rows of windows long over."""
    deleted, _kinds = Occurrence.objects.filter(closed_at__lt=(now or timezone.now()) - KEPT).delete()
    return deleted


def _safely(stream_id: int, now: datetime) -> int:
    try:
        return attend(stream_id, now)
    except DatabaseError as error:
        log.warning("schedule.not_now", stream=stream_id, error=type(error).__name__)
        return 0


@again_on_conflict
@transaction.atomic
def attend(stream_id: int, now: datetime) -> int:
    """Does for one stream what is due: 1 when that was anything."""
    stream = occurrences.hold(stream_id)
    row = Schedule.objects.filter(stream_id=stream_id, is_on=True).first()
    if stream is None or row is None:
        return 0
    spec = schedule_spec.spec_of(row)
    due = schedule.due(spec.rules, spec.place, row.seen_at, now)
    done = _end(stream, spec, due.open, now)
    if due.missed:
        done |= _say_missed(stream, due.missed, now)
    occurrence = None
    if due.open is not None:
        occurrence = occurrences.fit(stream, due.open, now) or occurrences.opened(stream, due.open)
        done |= _begin(stream, spec, occurrence)
        occurrence.refresh_from_db()
    else:
        occurrences.fit(stream, None, now)
    occurrences.look_again(row, occurrence, due.next_start, now)
    return int(done)


# ------------------------------------------------------------------------------------------------ a window opens


def _begin(stream: Stream, spec: ScheduleSpec, row: Occurrence) -> bool:
    if row.closed_at is not None or row.what_came is not OccurrenceState.WAITING or stream.state is Status.STOPPING:
        return False
    if stream.state in ON_AIR:
        return _found_on_air(stream, row)
    if occurrences.stopped_by_hand(stream, row.starts_at):
        return _take(row, OccurrenceState.OVERRULED, note=_("Stopped by hand in this window: off until it ends."))
    return _start(stream, spec, row)


def _found_on_air(stream: Stream, row: Occurrence) -> bool:
    if occurrences.owns_run(row, stream):
        return _take(row, OccurrenceState.STARTED, run_id=stream.run_id, note=_("Started by hand in this window."))
    note = _("It was on air before, by hand: it stays on air when the window ends.")
    audit.record(None, "leave on air", stream, until=row.ends_at.isoformat())
    return _take(row, OccurrenceState.BY_HAND, note=note)


def _take(row: Occurrence, state: OccurrenceState, **columns: object) -> bool:
    """The window's turn, once: True for the one who took it."""
    waiting = Occurrence.objects.filter(pk=row.pk, state=OccurrenceState.WAITING, closed_at=None)
    return waiting.update(state=state, **columns) == 1


def _start(stream: Stream, spec: ScheduleSpec, row: Occurrence) -> bool:
    """The claim and the start stand or fall together."""
    message = _("By the schedule, until %(end)s.") % {"end": occurrences.until(row, spec)}
    try:
        with transaction.atomic():
            if not _take(row, OccurrenceState.STARTED, note=""):
                return False
            run = actions.start(stream, None, message)
            Occurrence.objects.filter(pk=row.pk).update(run=run)
    except WrongState:  # overtaken this moment: the next look sees by whom
        return False
    except Refused as refusal:
        return _say_refused(stream, row, refusal.message)
    return True


def _say_refused(stream: Stream, row: Occurrence, words: str) -> bool:
    """Once for each reason, however often it is tried."""
    fresh = Occurrence.objects.filter(pk=row.pk, state=OccurrenceState.WAITING).exclude(note=words[:500])
    if fresh.update(note=words[:500]):
        audit.record(None, "refuse scheduled start", stream, why=words)
        progress.poke(stream.pk, stream.owner_id)
    return False


# ------------------------------------------------------------------------------------------------ a window ends


def _end(stream: Stream, spec: ScheduleSpec, heir: Window | None, now: datetime) -> bool:
    """What the window owned goes off air, or over to the window that is open by now: no break between the two."""
    row = occurrences.open_one(stream)
    if row is None or row.ends_at > now or not occurrences.close(row, now, **_outcome(stream, row)):
        return False
    if stream.state not in ON_AIR or not occurrences.owns_run(row, stream):
        return row.what_came is OccurrenceState.WAITING
    if heir is not None:
        stream.occurrences.filter(starts_at=heir.start).delete()
        Occurrence.objects.create(
            stream=stream, starts_at=heir.start, ends_at=heir.end, state=OccurrenceState.STARTED, run_id=stream.run_id
        )
        return True
    actions.stop(stream, None, _("By the schedule: its window ended %(end)s.") % {"end": occurrences.until(row, spec)})
    return True


def _outcome(stream: Stream, row: Occurrence) -> dict[str, object]:
    """What is kept of a window that is over."""
    if row.what_came is OccurrenceState.WAITING:
        audit.record(None, "miss window", stream, windows=1, why=row.note)
        return {"state": OccurrenceState.MISSED}
    is_off = stream.state not in ON_AIR
    if row.what_came is OccurrenceState.STARTED and is_off and occurrences.stopped_by_hand(stream, row.starts_at):
        return {"state": OccurrenceState.OVERRULED}
    return {}


def _say_missed(stream: Stream, missed: tuple[Window, ...], now: datetime) -> bool:
    number = occurrences.record_missed(stream, missed, now)
    if number:
        first, last = missed[0].start.isoformat(), missed[-1].end.isoformat()
        audit.record(None, "miss window", stream, windows=number, first=first, last=last)
    return number > 0


# ------------------------------------------------------------------------------------------------ no VPS was free


def _retry(now: datetime) -> int:
    """Starts again what a window had started and no VPS had room for: as many as there is room for by now."""
    waiting = Occurrence.objects.filter(
        closed_at=None, ends_at__gt=now, state=OccurrenceState.STARTED, stream__schedule__is_on=True,
        stream__status=Status.ERROR, stream__run__end_reason=EndReason.NO_VPS,
    ).order_by("starts_at", "id")  # fmt: skip
    found = list(waiting.values_list("stream_id", flat=True)[:1000])
    room = _room(now) if found else 0
    return sum(_safely_again(stream_id, now) for stream_id in found[:room])


def _room(now: datetime) -> int:
    fleet = candidates(now)
    able = {row.vps_id for row in selection.choose(fleet).ranked}
    return sum(each.max_streams - each.current_streams for each in fleet if each.vps_id in able)


def _safely_again(stream_id: int, now: datetime) -> int:
    try:
        with transaction.atomic():
            stream = occurrences.hold(stream_id)
            return int(stream is not None and _again(stream, now))
    except (DatabaseError, Refused) as error:
        log.info("schedule.not_again", stream=stream_id, error=type(error).__name__)
        return 0


def _again(stream: Stream, now: datetime) -> bool:
    row = Occurrence.objects.filter(stream=stream, closed_at=None, ends_at__gt=now).first()
    schedule_row = Schedule.objects.filter(stream=stream, is_on=True).first()
    if row is None or schedule_row is None or not occurrences.owns_run(row, stream) or not _found_no_vps(stream):
        return False
    until = occurrences.until(row, schedule_spec.spec_of(schedule_row))
    run = actions.start(stream, None, _("By the schedule, now that a VPS is free, until %(end)s.") % {"end": until})
    return Occurrence.objects.filter(pk=row.pk).update(run=run) == 1


def _found_no_vps(stream: Stream) -> bool:
    return stream.state is Status.ERROR and stream.run is not None and stream.run.reason is EndReason.NO_VPS
