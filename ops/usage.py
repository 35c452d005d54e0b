"""Who used what in a week (ACC-7), counted from runs: how they ended, what their agents last reported;
how long they were on air, of how long they were wanted, is what their incidents say (`ops.airtime`).

Bytes come with each run's last report as one growing number. What of them fell into a week is interpolated between
the number the week before had counted and the last one, so that a run of months is shared out and nothing counts
twice. Each user's weeks are made in order, each once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, cast
from uuid import UUID

from django.db.models import Max, Q

from accounts.models import UsageReport, User
from accounts.reports import StreamUsage
from ops import airtime
from ops.airtime import Airtime
from streams import sent
from streams.models import EndReason, Run

WEEK: Final = UsageReport.LENGTH
BACK: Final = 4
"""Weeks made up for after a downtime."""
FAILURES: Final = frozenset({EndReason.FAILED, EndReason.NO_VPS, EndReason.SILENT, EndReason.LOST})


@dataclass(frozen=True, slots=True)
class RunFacts:
    id: UUID
    owner_id: int
    stream_id: int
    title: str
    requested_at: datetime
    on_air_at: datetime | None
    ended_at: datetime | None
    end_reason: str
    reported_at: datetime | None
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What was counted of a run, and up to when."""

    at: datetime
    bytes: float


def generate(now: datetime) -> int:
    """Makes the reports of the last whole weeks that are missing; how many."""
    end = last_sunday(now)
    return sum(_week(end - WEEK * back, is_last=back == 1) for back in range(BACK, 0, -1))


def last_sunday(now: datetime) -> date:
    today = now.astimezone(UTC).date()
    return today - timedelta(days=(today.weekday() + 1) % 7)


def _week(starts_on: date, *, is_last: bool) -> int:
    """Users who have this week's report or a later one are left out, so that every week is counted in its turn.
    What somebody stores is known of now alone: it makes no report of an earlier week."""
    start = datetime.combine(starts_on, time(), UTC)
    by_owner: dict[int, list[RunFacts]] = defaultdict(list)
    runs = _runs(start, start + WEEK)
    for facts in runs:
        by_owner[facts.owner_id].append(facts)
    times = airtime.of_streams(runs, start, start + WEEK)
    users = User.objects.filter(date_joined__lt=start + WEEK).annotate(newest=Max("usage_reports__starts_on"))
    behind = users.filter(Q(newest=None) | Q(newest__lt=starts_on))
    marks = _marks(start)
    has_something = Q(pk__in=by_owner) | (Q(storage_used__gt=0) if is_last else Q())
    rows = [
        _report(user, starts_on, by_owner[user.pk], marks.get(user.pk, {}), times)
        for user in behind.filter(has_something).iterator()
    ]
    UsageReport.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def _runs(start: datetime, end: datetime) -> list[RunFacts]:
    rows = Run.objects.filter(Q(ended_at=None) | Q(ended_at__gt=start), requested_at__lt=end).values_list(
        "id", "stream__owner_id", "stream_id", "stream__title", "requested_at", "on_air_at", "ended_at", "end_reason",
        "reported_at", "report__destinations", "report__memory__sent",
    )  # fmt: skip
    found = cast(Iterable[tuple[Any, ...]], rows.order_by("stream_id", "requested_at").iterator())
    return [RunFacts(*(*row, sent.total(counted, said))) for *row, said, counted in found]


def _marks(start: datetime) -> dict[int, dict[str, Mark]]:
    """By user and run: what earlier reports have counted."""
    found: dict[int, dict[str, Mark]] = {}
    for row in UsageReport.objects.filter(starts_on__lt=start.date(), starts_on__gte=start.date() - WEEK * 9):
        known = found.setdefault(row.user_id, {})
        for run_id, counted in row.counted.items():
            if run_id not in known or known[run_id].at < row.ends_at:
                known[run_id] = Mark(row.ends_at, counted)
    return found


def _report(
    user: User, starts_on: date, runs: Iterable[RunFacts], marks: Mapping[str, Mark], times: Mapping[int, Airtime]
) -> UsageReport:
    start = datetime.combine(starts_on, time(), UTC)
    end = start + WEEK
    streams: dict[int, StreamUsage] = {}
    counted: dict[str, int] = {}
    for run in runs:
        mark = marks.get(str(run.id))
        usage = streams.setdefault(run.stream_id, StreamUsage(run.stream_id, run.title))
        usage.wanted_s, usage.streamed_s = times.get(run.stream_id, airtime.NONE)
        usage.bytes_sent += sent_by(run, mark, end) - sent_by(run, mark, start)
        usage.runs += 1
        usage.failures += run.end_reason in FAILURES and run.ended_at is not None and run.ended_at < end
        if run.ended_at is None or run.ended_at > end:
            counted[str(run.id)] = round(sent_by(run, mark, end))
    return UsageReport(
        user=user, starts_on=starts_on, bytes_stored=user.storage_used, counted=counted, **_sums(streams.values())
    )


def _sums(streams: Iterable[StreamUsage]) -> dict[str, Any]:
    rows = [_rounded(asdict(each)) for each in streams]
    names = ("streamed_s", "wanted_s", "bytes_sent", "runs", "failures")
    return {"streams": rows, **{name: sum(row[name] for row in rows) for name in names}}


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value) if isinstance(value, float) else value for name, value in row.items()}


def sent_by(run: RunFacts, mark: Mark | None, moment: datetime) -> float:
    """Bytes a run had sent by a moment: on the straight line from what was counted to what was reported last."""
    if run.on_air_at is None:
        return 0.0
    first = mark or Mark(run.on_air_at, 0.0)
    if run.bytes_sent < first.bytes:  # its playout was started again and counts from nothing
        first = Mark(first.at, 0.0)
    until = min(run.ended_at or run.reported_at or first.at, max(run.reported_at or first.at, first.at))
    whole = (until - first.at).total_seconds()
    share = (moment - first.at).total_seconds() / whole if whole > 0 else float(moment >= until)
    return first.bytes + (run.bytes_sent - first.bytes) * min(1.0, max(0.0, share))
