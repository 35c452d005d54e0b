"""What the pages of streams are rendered from, the same by GET, by poll and by socket.

`show_html` and `rows_html` need no request: forms and their tokens stand on the page, outside the fragments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from streams import charting, happenings, incident_log, pictures, rules, timeline, upcoming
from streams.models import Destination, Run, Stream
from streams.snapshot import Snapshot, load, snapshots_for
from streams.upcoming import Upcoming

RUNS_SHOWN: Final = 10
LOG_LINES: Final = 200
ITEMS_SHOWN: Final = 50
"""Of a playlist, from just before what plays now. The editor has all of it."""
ITEMS_BEFORE: Final = 3


@dataclass(frozen=True, slots=True)
class RunRow:
    run: Run
    duration: timedelta
    off_air: Mapping[str, float]
    """Seconds by the destination's id."""

    @property
    def off_air_s(self) -> float:
        """Of all destinations together."""
        return sum(self.off_air.values())


def run_rows(runs: Iterable[Run], now: datetime) -> list[RunRow]:
    runs = list(runs)
    outages = incident_log.outages_of(runs, now)
    off = ((run, happenings.off_air(run.report, outages.get(run.pk, 0.0))) for run in runs)
    return [RunRow(run, run.duration(now), by_place) for run, by_place in off]


def show_context(stream: Stream, now: datetime) -> dict[str, Any]:
    """Everything of one stream. `stream` comes with `run` selected."""
    shown = load(stream, now)
    return {
        "stream": stream,
        "snapshot": shown,
        "upcoming": upcoming.of_one(stream, now),
        "playlist": _playlist(stream, shown),
        "runs": run_rows(stream.runs.select_related("vps")[:RUNS_SHOWN], now),
        "log": (stream.run.log_tail if stream.run else [])[-LOG_LINES:],
        "picture_at": pictures.taken_at(stream.run) if stream.run and not stream.state.is_resting else None,
        "demo_platform": settings.DEMO_PLATFORM_URL,
    }


def page_context(stream: Stream, now: datetime) -> dict[str, Any]:
    """With what stands beside the live parts: the charts, and what could be pushed to as well."""
    used = [output.destination_id for output in stream.outputs.all()]
    return {
        **show_context(stream, now),
        "chart": charting.of_run(stream.run),
        "addable": Destination.objects.of(stream.owner).exclude(pk__in=used)[: rules.MOST_DESTINATIONS],
    }


def _playlist(stream: Stream, shown: Snapshot) -> dict[str, Any]:
    """The window that is shown; `first` and `last` count from 0 in the whole list."""
    items = list(stream.items.all())
    now_at = shown.now_playing.index if shown.now_playing else None
    first = max(0, min((now_at or 0) - ITEMS_BEFORE, len(items) - ITEMS_SHOWN))
    rows = list(enumerate(items))[first : first + ITEMS_SHOWN]
    return {"rows": rows, "before": first, "after": len(items) - first - len(rows), "last": len(items) - 1}


def run_context(run: Run, now: datetime) -> dict[str, Any]:
    """Everything kept of one run. `run` comes with its stream."""
    [row] = run_rows([run], now)
    names = charting.output_names(run)
    reconnects = {str(row["id"]): row["reconnects"] for row in (run.report or {}).get("destinations", ())}
    return {
        "stream": run.stream,
        "run": run,
        "row": row,
        "timeline": timeline.of_run(run),
        "destinations": [
            {
                "name": names.get(int(output)) or _("a destination that has left"),
                "off_air_s": seconds,
                "reconnects": reconnects.get(output, 0),
            }
            for output, seconds in row.off_air.items()
        ],
        "chart": charting.of_run(run),
        "charts_url": reverse("streams:samples", args=[run.stream_id]) + f"?run={run.pk}",
        "log": run.log_tail[-LOG_LINES:],
    }


def show_html(stream: Stream, now: datetime) -> str:
    """The live parts of a stream's page, each to be swapped in by its id."""
    return render_to_string("streams/fragments/show.html", {**show_context(stream, now), "oob": True})


def rows(streams: Sequence[Stream], now: datetime) -> list[tuple[Stream, Snapshot]]:
    return list(zip(streams, snapshots_for(streams, now), strict=True))


def list_rows(streams: Sequence[Stream], now: datetime) -> list[tuple[Stream, Snapshot, Upcoming | None]]:
    """With what each one's schedule means now."""
    soon = upcoming.of(streams, now)
    return [(stream, snapshot, soon.get(stream.pk)) for stream, snapshot in rows(streams, now)]


def numbers_html(numbers: Mapping[str, int]) -> str:
    """How many streams there are of each state, each number to be swapped in by its id."""
    return render_to_string("streams/fragments/numbers.html", {"numbers": numbers.items()})


def rows_html(streams: Sequence[Stream], now: datetime) -> str:
    """Rows of the list, each to be swapped in by its id."""
    return render_to_string("streams/fragments/rows.html", {"rows": list_rows(streams, now), "oob": True})
