"""What the pages of streams are rendered from, the same by GET, by poll and by socket.

`show_html` and `rows_html` need no request: forms and their tokens stand on the page, outside the fragments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.template.loader import render_to_string

from streams import pictures
from streams.models import Stream
from streams.snapshot import Snapshot, load, snapshots_for

RUNS_SHOWN: Final = 10
LOG_LINES: Final = 200


def show_context(stream: Stream, now: datetime) -> dict[str, Any]:
    """Everything of one stream. `stream` comes with `run` selected."""
    return {
        "stream": stream,
        "snapshot": load(stream, now),
        "runs": [(run, run.duration(now)) for run in stream.runs.select_related("vps")[:RUNS_SHOWN]],
        "log": (stream.run.log_tail if stream.run else [])[-LOG_LINES:],
        "picture_at": pictures.taken_at(stream.run) if stream.run and not stream.state.is_resting else None,
        "demo_platform": settings.DEMO_PLATFORM_URL,
    }


def show_html(stream: Stream, now: datetime) -> str:
    """The live parts of a stream's page, each to be swapped in by its id."""
    return render_to_string("streams/fragments/show.html", {**show_context(stream, now), "oob": True})


def rows(streams: Sequence[Stream], now: datetime) -> list[tuple[Stream, Snapshot]]:
    return list(zip(streams, snapshots_for(streams, now), strict=True))


def numbers_html(numbers: Mapping[str, int]) -> str:
    """How many streams there are of each state, each number to be swapped in by its id."""
    return render_to_string("streams/fragments/numbers.html", {"numbers": numbers.items()})


def rows_html(streams: Sequence[Stream], now: datetime) -> str:
    """Rows of the list, each to be swapped in by its id."""
    return render_to_string("streams/fragments/rows.html", {"rows": rows(streams, now), "oob": True})
