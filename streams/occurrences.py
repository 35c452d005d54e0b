"""The windows of schedules that opened: their rows. Call with the stream's row locked (`hold`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.locks import lock_user
from streams.lifecycle import Event
from streams.models import Occurrence, OccurrenceState, Schedule, Stream
from streams.schedule import Window
from streams.schedule_spec import ScheduleSpec

MISSED_ROWS: Final = 20
"""After a long downtime the newest are kept; the audit log has the number."""


def hold(stream_id: int) -> Stream | None:
    """The stream as it is, locked, with its owner first: in the order in which every verb takes them."""
    row = Stream.objects.filter(pk=stream_id).first()
    if row is None:
        return None
    lock_user(row.owner_id)
    return Stream.objects.select_for_update(no_key=True).filter(pk=stream_id).first()


def open_one(stream: Stream) -> Occurrence | None:
    return stream.occurrences.filter(closed_at=None).first()


def fit(stream: Stream, window: Window | None, now: datetime) -> Occurrence | None:
    """The open row moved to where the rules have the open window now: an edit neither starts nor stops anything that
    stays inside. One that has no window any more is closed, and what it put on air stays there."""
    row = open_one(stream)
    if row is None or row.ends_at <= now:
        return None
    if window is None:
        close(row, now, note=_("The schedule was changed meanwhile."))
        return None
    if (row.starts_at, row.ends_at) != (window.start, window.end):
        stream.occurrences.filter(starts_at=window.start).exclude(pk=row.pk).delete()
        Occurrence.objects.filter(pk=row.pk).update(starts_at=window.start, ends_at=window.end)
        row.refresh_from_db()
    return row


def reopen(stream: Stream, window: Window) -> None:
    """A window that was over, and that an edit has put back around now, gets another turn."""
    over = stream.occurrences.filter(starts_at=window.start, closed_at__isnull=False)
    over.update(ends_at=window.end, closed_at=None, state=OccurrenceState.WAITING, run=None, note="")


def close(row: Occurrence, now: datetime, **columns: object) -> bool:
    """True for the one who closed it."""
    return Occurrence.objects.filter(pk=row.pk, closed_at=None).update(closed_at=now, **columns) == 1


def opened(stream: Stream, window: Window) -> Occurrence:
    row, _made = Occurrence.objects.get_or_create(
        stream=stream, starts_at=window.start, defaults={"ends_at": window.end}
    )
    return row


def record_missed(stream: Stream, missed: Sequence[Window], now: datetime) -> int:
    """How many windows nobody had dealt with."""
    known = set(stream.occurrences.filter(starts_at__gte=missed[0].start).values_list("starts_at", flat=True))
    fresh = [window for window in missed if window.start not in known]
    Occurrence.objects.bulk_create(
        Occurrence(
            stream=stream, starts_at=window.start, ends_at=window.end, state=OccurrenceState.MISSED, closed_at=now,
            note=_("The scheduler was not running."),
        )
        for window in fresh[-MISSED_ROWS:]
    )  # fmt: skip
    return len(fresh)


def stopped_by_hand(stream: Stream, since: datetime) -> bool:
    """Somebody, not the schedule, ended it since."""
    by_people = stream.transitions.filter(actor__isnull=False, event__in=(Event.STOP, Event.FORCED))
    return by_people.filter(at__gte=since).exists()


def owns_run(row: Occurrence, stream: Stream) -> bool:
    """Whether what is on air goes off with this window: the window put it there, or somebody did inside it."""
    run = stream.run
    return run is not None and (run.pk == row.run_id or run.requested_at >= row.starts_at)


def until(row: Occurrence, spec: ScheduleSpec) -> str:
    """The window's end as its owner said it, for the timeline."""
    return f"{date_format(row.ends_at.astimezone(spec.place), 'j M Y, H:i')} ({spec.zone})"


def look_again(row: Schedule, occurrence: Occurrence | None, next_start: datetime | None, now: datetime) -> None:
    """Writes down when there is something to do next."""
    at = next_start
    if occurrence is not None and occurrence.closed_at is None:
        at = now if occurrence.what_came is OccurrenceState.WAITING else occurrence.ends_at
    Schedule.objects.filter(pk=row.pk).update(seen_at=now, look_at=at)
