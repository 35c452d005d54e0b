"""What the database wants of a VPS, what its heartbeat holds, and the difference as orders. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from agent.protocol import RunReport

GRACE_S: Final = 6.0
"""A command younger than this may still be on its way, or the heartbeat older than it: one beat and a bit."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that this VPS should hold. `commanded_at` in unix seconds, None while nobody has commanded it."""

    stream_id: int
    run_id: uuid.UUID
    epoch: int
    fingerprint: str
    commanded_at: float | None


@dataclass(frozen=True, slots=True)
class Start:
    run_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Update:
    run_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Stop:
    """`run_id` and `epoch` as the agent wrote them: they may be none of ours."""

    stream_id: int
    run_id: str
    epoch: int


Order = Start | Update | Stop


def plan(wanted: Iterable[Wanted], held: Iterable[RunReport], now: float) -> list[Order]:
    """Stops first, so that a slot is free before it is filled. Idempotent: two listeners may both send them."""
    by_run = {str(want.run_id): want for want in wanted}
    reports = {report.run_id: report for report in held}
    stops: list[Order] = []
    rest: list[Order] = []
    for run_id, report in reports.items():
        want = by_run.get(run_id)
        if want is None or want.epoch != report.epoch:
            stops += _stop(report)
        elif _differs(want, report):
            rest.append(Update(want.run_id))
    for run_id, want in by_run.items():
        if run_id not in reports and _was_lost(want, now):
            rest.append(Start(want.run_id))
    return stops + rest


def _stop(report: RunReport) -> list[Order]:
    return [] if report.phase == "stopping" else [Stop(report.stream_id, report.run_id, report.epoch)]


def _differs(want: Wanted, report: RunReport) -> bool:
    known = bool(want.fingerprint and report.fingerprint)
    return known and want.fingerprint != report.fingerprint and report.phase != "stopping"


def _was_lost(want: Wanted, now: float) -> bool:
    return want.commanded_at is not None and now - want.commanded_at > GRACE_S
