"""The history that incidents are worked out of, read in a handful of queries whatever its length."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from typing import Final, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from kit.spreadsheet import harmless
from streams import incident_words, incidents
from streams.incident_kinds import Change, Happened, Incident, Output, Story, What
from streams.models import Run, RunEvent, Status, Stream, StreamDestination, Transition

Row = TypeVar("Row", Transition, RunEvent)
MOST_ROWS: Final = 3_000
"""Newest transitions, and as many lines of what happened: of a stream, or of all of them."""
LOG_LINES: Final = 12
_TELLING: Final = [kind for kind in RunEvent.Kind.values if kind != RunEvent.Kind.STEERED]


@dataclass(frozen=True, slots=True)
class Told:
    """One incident of one stream with what proves it. `run` is None when it is no more; `vps`: where it happened."""

    incident: Incident
    stream: Stream
    run: Run | None
    vps: str

    @property
    def words(self) -> str:
        return incident_words.what(self.incident)

    @property
    def tone(self) -> str:
        return incident_words.tone(self.incident)

    @property
    def cause(self) -> str:
        return self.incident.cause

    @property
    def begun_at(self) -> datetime:
        return _moment(self.incident.begun_at)

    @property
    def ended_at(self) -> datetime | None:
        return None if self.incident.ended_at is None else _moment(self.incident.ended_at)

    @property
    def lasted_s(self) -> float | None:
        """What is said behind its words: of what put no more than itself off air, or nothing."""
        if self.incident.what is What.DESTINATION:
            return self.incident.longest_off_s
        if self.incident.what in (What.SLATE, What.INPUT) and self.incident.ended_at is not None:
            return self.incident.ended_at - self.incident.begun_at
        return None

    @property
    def log(self) -> list[str]:
        """The end of the run's log, for what ended the run: of what it survived, the log has been overtaken."""
        if self.run is None or self.run.ended_at is None or self.incident.what not in (What.START, What.OUTAGE):
            return []
        within = self.begun_at <= self.run.ended_at and (self.ended_at is None or self.run.ended_at < self.ended_at)
        return self.run.log_tail[-LOG_LINES:] if within else []


def story_of(stream: Stream, since: datetime, now: datetime) -> tuple[Story, list[Output]]:
    """Three queries."""
    changes = [change_of(row) for row in _newest_first(stream.transitions.filter(at__gte=since))]
    begin = since.timestamp()
    before = stream.transitions.filter(at__lt=since).order_by("-at", "-id").first()
    if before is not None and before.new == Status.STREAMING:
        changes.append(Change(begin, before.event, before.old, before.new, "", str(before.run_id)))
    happened = [_happened(row) for row in _newest_first(stream.events.filter(at__gte=since, kind__in=_TELLING))]
    outputs = [_output(row) for row in stream.outputs.select_related("destination")]
    return incidents.tell(changes[::-1], happened[::-1], outputs, now.timestamp()), outputs


def outages_of(runs: Iterable[Run], now: datetime) -> dict[UUID, float]:
    """Seconds in which each run was wanted on air and was on no server: one query."""
    changes: dict[UUID | None, list[Change]] = defaultdict(list)
    ends = {run.pk: (run.ended_at or now).timestamp() for run in runs}
    for row in Transition.objects.filter(run__in=ends).order_by("at", "id"):
        changes[row.run_id].append(change_of(row))
    stories = {pk: incidents.tell(changes[pk], [], [], ends[pk]) for pk in ends}
    return {
        pk: sum(max(0.0, min(one.ended_at or ends[pk], ends[pk]) - one.begun_at) for one in story.incidents)
        for pk, story in stories.items()
    }


def told_of(stream: Stream, story: Story, most: int) -> list[Told]:
    """The newest, with their runs: two queries."""
    return _with_runs([(one, stream) for one in story.incidents[:most]])


def told_of_all(since: datetime, now: datetime, most: int, kinds: Collection[What]) -> list[Told]:
    """Every stream's of these kinds, newest first: six queries."""
    changes: dict[int, list[Change]] = defaultdict(list)
    for row in _newest_first(Transition.objects.filter(at__gte=since)):
        changes[row.stream_id].append(change_of(row))
    happened: dict[int, list[Happened]] = defaultdict(list)
    for line in _newest_first(RunEvent.objects.filter(at__gte=since, kind__in=_TELLING)):
        happened[line.stream_id].append(_happened(line))
    streams = Stream.objects.select_related("owner").in_bulk({*changes, *happened})
    outputs: dict[int, list[Output]] = defaultdict(list)
    for chosen in StreamDestination.objects.filter(stream__in=streams).select_related("destination"):
        outputs[chosen.stream_id].append(_output(chosen))
    found = [
        (one, stream)
        for pk, stream in streams.items()
        for one in incidents.tell(changes[pk][::-1], happened[pk][::-1], outputs[pk], now.timestamp()).incidents
        if one.what in kinds
    ]
    found.sort(key=lambda pair: pair[0].begun_at, reverse=True)
    return _with_runs(found[:most])


def _with_runs(pairs: Sequence[tuple[Incident, Stream]]) -> list[Told]:
    runs = {str(run.pk): run for run in Run.objects.select_related("vps").filter(pk__in=_run_ids(pairs))}
    places = _places(runs.values())
    return [Told(one, stream, run := runs.get(one.run_id), _where(one, run, places)) for one, stream in pairs]


def _places(runs: Iterable[Run]) -> dict[str, list[tuple[float, str]]]:
    """By run: on which VPS it was when its stream changed, oldest first."""
    rows = Transition.objects.filter(run__in=runs, vps__isnull=False).order_by("at", "id")
    found: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for run_id, at, name in rows.values_list("run_id", "at", "vps__name"):
        found[str(run_id)].append((at.timestamp(), name))
    return found


def _where(one: Incident, run: Run | None, places: Mapping[str, list[tuple[float, str]]]) -> str:
    """Not where the run is now: it may have been moved, for this very incident."""
    known = places.get(one.run_id)
    if known:
        return next((name for at, name in reversed(known) if at <= one.begun_at), known[0][1])
    return run.vps.name if run and run.vps else ""


def _run_ids(pairs: Iterable[tuple[Incident, Stream]]) -> set[str]:
    return {one.run_id for one, _stream in pairs if one.run_id}


def _newest_first(rows: QuerySet[Row]) -> list[Row]:
    return list(rows.order_by("-at", "-id")[:MOST_ROWS])


def change_of(row: Transition) -> Change:
    heard_at = row.heard_at.timestamp() if row.heard_at else None
    return Change(row.at.timestamp(), row.event, row.old, row.new, row.message, str(row.run_id or ""), heard_at)


def _happened(row: RunEvent) -> Happened:
    return Happened(row.at.timestamp(), row.kind, row.facts, str(row.run_id))


def _output(row: StreamDestination) -> Output:
    return Output(row.pk, row.destination.name, row.created_at.timestamp(), row.enabled)


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


# ------------------------------------------------------------------------------------------------ as a table

_COLUMNS: Final = (
    "stream", "begun_at", "ended_at", "what", "cause", "destination", "off_air_s", "vps", "run",
)  # fmt: skip


def as_csv(rows: Iterable[Told]) -> str:
    """A row per incident and destination that was off air; one without a destination where none was."""
    out = StringIO()
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    for told in rows:
        table.writerows(_lines(told))
    return out.getvalue()


def _lines(told: Told) -> Iterator[list[str]]:
    ended = told.ended_at.isoformat(timespec="seconds") if told.ended_at else ""
    begun = told.begun_at.isoformat(timespec="seconds")
    for name, seconds in (told.incident.off_s or {"": 0.0}).items():
        cells = [told.stream.title, begun, ended, told.words, told.cause, name, f"{seconds:.1f}", told.vps]
        yield [harmless(cell) for cell in (*cells, told.incident.run_id)]
