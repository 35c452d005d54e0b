"""What the page of a stream's incidents shows: uptime by day and month in the viewer's zone, and the incidents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.formats import number_format

from streams import incident_log, uptime
from streams.incident_kinds import Output, Story
from streams.models import Stream
from streams.spans import Span
from streams.uptime import Uptime

DAYS: Final = 30
SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    up: Uptime

    @property
    def tone(self) -> str:
        """Of its bar: as good as whole, with a gap, broken; nothing was wanted."""
        share = self.up.share
        if share is None:
            return "none"
        return "live" if share >= 0.9995 else "warning" if share >= 0.99 else "danger"

    @property
    def words(self) -> str:
        return percent(self.up.share)


def context(stream: Stream, now: datetime) -> dict[str, Any]:
    local = timezone.localtime(now)
    month = local.date().replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    first = min(last_month, local.date() - timedelta(days=DAYS - 1))
    story, outputs = incident_log.story_of(stream, _midnight(first), now)
    this, last = _span(month, None, now), _span(last_month, month, now)
    return {
        "stream": stream,
        "days": _days(story, outputs, local.date(), now),
        "this_month": uptime.of_stream(story, outputs, this),
        "last_month": uptime.of_stream(story, outputs, last),
        "month": month,
        "before": last_month,
        "places": [
            {
                "name": each.name,
                "enabled": each.enabled,
                "this_month": uptime.of_output(story, each, this),
                "last_month": uptime.of_output(story, each, last),
            }
            for each in outputs
        ],
        "told": incident_log.told_of(stream, story, SHOWN),
        "more": max(0, len(story.incidents) - SHOWN),
        "since": first,
    }


def told(stream: Stream, now: datetime) -> list[incident_log.Told]:
    """All there is, for the CSV."""
    story, _outputs = incident_log.story_of(stream, now - timedelta(days=90), now)
    return incident_log.told_of(stream, story, len(story.incidents))


def percent(share: float | None) -> str:
    """Never rounded up to a hundred: 99.99 % says that something was not right."""
    if share is None:
        return "–"
    return "100 %" if share >= 1 else f"{number_format(int(share * 10_000) / 100, 2)} %"


def _days(story: Story, outputs: list[Output], today: date, now: datetime) -> list[Day]:
    days = [today - timedelta(days=ago) for ago in range(DAYS - 1, -1, -1)]
    return [Day(day, uptime.of_stream(story, outputs, _span(day, day + timedelta(days=1), now))) for day in days]


def _span(first: date, end: date | None, now: datetime) -> Span:
    """From midnight to midnight where the viewer lives, until now at most."""
    last = now.timestamp()
    return Span(_midnight(first).timestamp(), last if end is None else min(last, _midnight(end).timestamp()))


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
