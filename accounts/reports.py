"""Weekly usage as people take it away: figures in rows, rows in CSV. `ops.usage` counts them."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Final

from django.http import HttpResponse

from accounts.models import UsageReport
from kit.spreadsheet import harmless

HEAD: Final = (
    "week_from", "week_to", "user", "scope", "stream_id", "stream", "hours_on_air", "uptime_percent", "runs",
    "failures", "bytes_sent", "bytes_stored",
)  # fmt: skip


@dataclass(slots=True)
class StreamUsage:
    """One stream in one week, as it is kept in `UsageReport.streams`."""

    id: int
    title: str
    streamed_s: float = 0.0
    wanted_s: float = 0.0
    bytes_sent: float = 0.0
    runs: int = 0
    failures: int = 0

    @property
    def uptime(self) -> float | None:
        """Percent of the time it was wanted on air that it was; None when it never was."""
        return round(min(100.0, self.streamed_s * 100 / self.wanted_s), 2) if self.wanted_s else None


def streams_of(report: UsageReport) -> list[StreamUsage]:
    return [StreamUsage(**row) for row in report.streams]


def as_csv(reports: Iterable[UsageReport]) -> str:
    """A row for the week (`scope` total), then one per stream."""
    out = StringIO()
    writer = csv.writer(out)
    writer.writerow(HEAD)
    for report in reports:
        week = (report.starts_on.isoformat(), report.last_day.isoformat(), harmless(report.user.email))
        writer.writerow([*week, "total", "", "", *_figures(report), report.bytes_stored])
        for each in streams_of(report):
            writer.writerow([*week, "stream", each.id, harmless(each.title), *_figures(each), ""])
    return out.getvalue()


def download(reports: Iterable[UsageReport], name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return HttpResponse(as_csv(reports), content_type="text/csv; charset=utf-8", headers=headers)


def _figures(row: UsageReport | StreamUsage) -> list[str | int]:
    share = "" if row.uptime is None else f"{row.uptime:.2f}"
    return [f"{row.streamed_s / 3600:.2f}", share, row.runs, row.failures, round(row.bytes_sent)]
