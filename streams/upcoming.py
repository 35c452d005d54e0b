"""What a stream's schedule means now, in a line: what it waits for, who overruled it, when it goes on.

For pages and lists: `of` is two queries, however many streams; `templates/streams/parts/next_occurrence.html` shows
one. Streams come with `run` selected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from streams import occurrences, schedule, schedule_spec
from streams.models import EndReason, Occurrence, OccurrenceState, Schedule, Stream


@dataclass(frozen=True, slots=True)
class Upcoming:
    """`label` is read before `at`: the start of the next window, or the end of the one that is open."""

    label: str
    tone: str
    at: datetime
    until: datetime | None = None
    note: str = ""

    @property
    def is_open(self) -> bool:
        return self.until is None


def of(streams: Iterable[Stream], now: datetime) -> dict[int, Upcoming]:
    """By the stream's id; those without a schedule, or with one that is off or over, are left out."""
    by_id = {stream.pk: stream for stream in streams}
    opened = {row.stream_id: row for row in Occurrence.objects.filter(stream__in=by_id, closed_at=None)}
    found = {}
    for row in Schedule.objects.filter(stream__in=by_id, is_on=True):
        if upcoming := _one(by_id[row.stream_id], row, opened.get(row.stream_id), now):
            found[row.stream_id] = upcoming
    return found


def of_one(stream: Stream, now: datetime) -> Upcoming | None:
    return of([stream], now).get(stream.pk)


def _one(stream: Stream, row: Schedule, occurrence: Occurrence | None, now: datetime) -> Upcoming | None:
    spec = schedule_spec.spec_of(row)
    if occurrence is not None and occurrence.ends_at > now:
        return _open(stream, occurrence)
    window = next(schedule.windows(spec.rules, spec.place, now), None)
    if window is None:
        return None
    if window.holds(now):
        return Upcoming(_("Due now, window open until"), "info", window.end)
    return Upcoming(_("Next:"), "neutral", window.start, window.end)


def _open(stream: Stream, row: Occurrence) -> Upcoming:
    is_on_air = not stream.state.is_resting
    if row.what_came is OccurrenceState.WAITING:
        return Upcoming(_("Not started yet, tried until"), "warning", row.ends_at, note=row.note)
    if is_on_air and occurrences.owns_run(row, stream):
        return Upcoming(_("On air by the schedule until"), "live", row.ends_at)
    if is_on_air:
        return Upcoming(_("On air by hand: stays on air after"), "info", row.ends_at)
    if row.what_came is OccurrenceState.OVERRULED or (stream.run and stream.run.reason is EndReason.STOPPED):
        return Upcoming(_("Stopped by hand: off until"), "info", row.ends_at)
    return Upcoming(_("Off air, though its window is open until"), "warning", row.ends_at, note=stream.failure_reason)
