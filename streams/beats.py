"""Heartbeats of many VPSes, applied together: one look at all runs they name or should name, one statement for all
reports, one for all VPSes. What follows for a single run (it is on air, it must be started or stopped) is rare and is
done by itself.

What is remembered between two heartbeats only saves writing; who holds which run under which epoch is read each time.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import QuerySet

from agent.protocol import Heartbeat, RunReport
from fleet import heartbeats
from fleet.minutes import Minutes
from streams import converge, interrupting, progress, reports, visible
from streams.models import Run, Status
from streams.reconcile import Wanted
from streams.reports import Word
from streams.samples import Sampler

AT_MOST_EVERY: Final = timedelta(seconds=1)
"""What is not simply on air is written with each heartbeat, but not oftener than so."""
WANTED: Final = (Status.STARTING, Status.STREAMING)


@dataclass(frozen=True, slots=True)
class Found:
    """A run as the database has it, without what is large. Its columns, in order, are in `_COLUMNS`."""

    pk: uuid.UUID
    stream_id: int
    vps_id: int | None
    epoch: int
    fingerprint: str
    commanded_at: datetime | None
    slot_released_at: datetime | None
    reported_at: datetime | None
    current_id: uuid.UUID | None
    status: str
    owner_id: int

    @classmethod
    def of(cls, run: Run) -> Found:
        """`run` with its stream."""
        own = (run.pk, run.stream_id, run.vps_id, run.epoch, run.fingerprint)
        times = (run.commanded_at, run.slot_released_at, run.reported_at)
        return cls(*own, *times, run.stream.run_id, run.stream.status, run.stream.owner_id)

    @property
    def is_current(self) -> bool:
        return self.current_id == self.pk

    @property
    def is_on_air(self) -> bool:
        return self.is_current and self.status == Status.STREAMING

    @property
    def is_wanted(self) -> bool:
        return self.is_current and self.slot_released_at is None and self.status in WANTED

    @property
    def is_stopping(self) -> bool:
        return self.is_current and self.slot_released_at is None and self.status == Status.STOPPING

    def as_wanted(self) -> Wanted:
        at = self.commanded_at.timestamp() if self.commanded_at else None
        return Wanted(self.stream_id, self.pk, self.epoch, self.fingerprint, at)


_COLUMNS: Final = (
    "pk", "stream_id", "vps_id", "epoch", "fingerprint", "commanded_at", "slot_released_at", "reported_at",
    "stream__run_id", "stream__status", "stream__owner_id",
)  # fmt: skip


class Beats:
    """Keeps in memory what it last wrote of each run, to write seldom what nobody looks at. Several at once do no harm.
    `counts` are the inbox's."""

    def __init__(self, counts: Counter[str]) -> None:
        self.sampler = Sampler()
        self.minutes = Minutes()
        self._counts = counts
        self._written: dict[uuid.UUID, tuple[datetime, str]] = {}

    def apply(self, beats: Sequence[Heartbeat], now: datetime) -> None:
        """At most one of each VPS. A VPS's row is written when its runs have been."""
        found = _found(beats)
        heard = [
            (beat, report, run)
            for beat in beats
            for report in beat.runs
            if (run := found.get(report.run_id)) and (run.vps_id, run.epoch) == (beat.vps_id, report.epoch)
        ]
        self.write([(Word(run.pk, report, beat.timestamp), run) for beat, report, run in heard], now)
        for _beat, report, run in heard:
            self.sampler.take(report, now)
            self._live(report, run, now)
        _note_not_off_air(found, beats, now)
        known = heartbeats.apply(beats, now)
        self._counts["unknown_vps"] += len(beats) - len(known)
        wanted = _wanted(found.values())
        for beat in beats:
            if beat.vps_id in known:
                converge.converge(beat.vps_id, wanted[beat.vps_id], beat.runs, now)
        if let_go := _let_go(found, beats):
            converge.note_stopped(let_go, now)
        # Last: what fails before is applied again, beat by beat, and each counts once.
        for beat in beats:
            if beat.vps_id in known:
                self.minutes.take(beat, now)

    def write(self, heard: Sequence[tuple[Word, Found]], now: datetime) -> None:
        """Words of runs that were found, each with its run; browsers are told of what is new to them."""
        shown = {word.run_id: visible.stands(word.body) for word, _run in heard}
        due = [word for word, run in heard if self._is_due(run, shown[word.run_id], now)]
        written = reports.write(due, now) if due else {}
        for run_id in written:
            self._written[run_id] = (now, shown[run_id])
        for _word, run in heard:
            hurry = written.get(run.pk)
            if run.is_current and hurry is not None:
                progress.poke(run.stream_id, run.owner_id, urgent=hurry)

    def _is_due(self, run: Found, shown: str, now: datetime) -> bool:
        """What somebody else wrote since, another listener or a page, is looked at again."""
        at, before = self._written.get(run.pk, (None, None))
        if run.reported_at is None or before != shown:
            return True
        is_as_left = run.is_on_air and run.reported_at == at
        return now - run.reported_at >= (reports.WRITE_EVERY if is_as_left else AT_MOST_EVERY)

    def _live(self, report: RunReport, run: Found, now: datetime) -> None:
        """Makes up for the agent's word when that was lost."""
        if report.phase != "on_air" or not run.is_current or run.status != Status.STARTING:
            return
        fresh = Run.objects.filter(pk=run.pk, epoch=run.epoch).first()
        if fresh is None or not interrupting.on_air(fresh, now):
            self._counts["late"] += 1

    def forget(self, before: datetime) -> None:
        """Drops what is remembered of runs not heard of since."""
        self.sampler.forget(before)
        self._written = {run_id: row for run_id, row in self._written.items() if row[0] >= before}


def _note_not_off_air(found: Mapping[str, Found], beats: Sequence[Heartbeat], now: datetime) -> None:
    """Who names a run under an epoch that is over was silent, and may have been on air all along."""
    for beat in beats:
        for report in beat.runs:
            run = found.get(report.run_id)
            if run is not None and report.epoch < run.epoch:
                skew = timedelta(seconds=now.timestamp() - beat.timestamp)
                interrupting.was_on_air(run.pk, beat.vps_id, report, skew)


def _let_go(found: Mapping[str, Found], beats: Sequence[Heartbeat]) -> list[uuid.UUID]:
    """Runs that are to stop and that their VPS does not name any more."""
    named = {beat.vps_id: {report.run_id for report in beat.runs} for beat in beats}
    return [
        run.pk for key, run in found.items() if run.is_stopping and run.vps_id in named and key not in named[run.vps_id]
    ]


def _found(beats: Sequence[Heartbeat]) -> dict[str, Found]:
    """By id: what these VPSes hold for us, and whatever else they name."""
    held = _by_text(Run.objects.holding().filter(vps_id__in=[beat.vps_id for beat in beats]))
    others = [report.run_id for beat in beats for report in beat.runs if report.run_id not in held]
    return held | (_by_id(others) if others else {})


def _by_id(run_ids: Iterable[str]) -> dict[str, Found]:
    keys = [key for key in map(key_of, run_ids) if key is not None]
    return _by_text(Run.objects.filter(pk__in=keys))


def _by_text(runs: QuerySet[Run]) -> dict[str, Found]:
    return {str(row[0]): Found(*row) for row in runs.order_by().values_list(*_COLUMNS)}


def key_of(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _wanted(runs: Iterable[Found]) -> dict[int, list[Wanted]]:
    by_vps: dict[int, list[Wanted]] = defaultdict(list)
    for run in runs:
        if run.is_wanted and run.vps_id is not None:
            by_vps[run.vps_id].append(run.as_wanted())
    return by_vps
