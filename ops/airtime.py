"""For how long streams were wanted on air in a week, and were: by the same rules as their incidents (EDGE-6), from
the same history. As a whole: a destination that was down alone does not count here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from streams import incidents
from streams.incident_kinds import Change
from streams.incident_log import change_of
from streams.models import Status, Transition
from streams.spans import Span, clipped, minus, total

BACK: Final = timedelta(seconds=incidents.GIVEN_UP_S)
"""What failed before the week is still wanted in it for so long."""


class RunTimes(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def stream_id(self) -> int: ...
    @property
    def on_air_at(self) -> datetime | None: ...


class Airtime(NamedTuple):
    """Seconds."""

    wanted_s: float
    on_air_s: float


NONE: Final = Airtime(0.0, 0.0)


def of_streams(runs: Iterable[RunTimes], start: datetime, end: datetime) -> Mapping[int, Airtime]:
    """By stream, of those that had runs between the two: one query."""
    changes = _on_air_before(runs, start - BACK)
    for row in Transition.objects.filter(at__gte=start - BACK, at__lt=end).order_by("at", "id").iterator():
        changes[row.stream_id].append(change_of(row))
    within = Span(start.timestamp(), end.timestamp())
    return {stream_id: _of_one(rows, within) for stream_id, rows in changes.items()}


def _on_air_before(runs: Iterable[RunTimes], begin: datetime) -> defaultdict[int, list[Change]]:
    """Runs that came on air before the history that is read."""
    found: defaultdict[int, list[Change]] = defaultdict(list)
    for run in runs:
        if run.on_air_at is not None and run.on_air_at < begin:
            live = Change(begin.timestamp(), "live", Status.STARTING, Status.STREAMING, "", str(run.id))
            found[run.stream_id].append(live)
    return found


def _of_one(changes: list[Change], within: Span) -> Airtime:
    story = incidents.tell(changes, [], [], within.end)
    wanted = clipped(story.wanted, within)
    off = [Span(one.begun_at, one.ended_at or within.end) for one in story.incidents]
    return Airtime(total(wanted), total(minus(wanted, off)))
