"""Streams that hang between two states (STR-9), and the rows that starts leave behind."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from streams.converge import resolve_overdue
from streams.models import Progress, RunEvent, Status

EVENTS_KEPT: Final = timedelta(days=90)
"""What happened on air: for so long incidents are told and uptime is counted."""
BATCH: Final = 5_000


def force_stop_hanging(limit: timedelta = timedelta(minutes=5), now: datetime | None = None) -> int:
    """How many were resolved. Streams on air are not touched: their silence may be our own listener's."""
    return sum(resolve_overdue(status, limit, now) for status in (Status.STARTING, Status.STOPPING))


def clean_progress(age: timedelta = timedelta(days=7), now: datetime | None = None) -> int:
    """How many progress rows older than `age` were deleted."""
    deleted, _ = Progress.objects.filter(at__lt=(now or timezone.now()) - age).delete()
    return deleted


def clean_events(age: timedelta = EVENTS_KEPT, now: datetime | None = None) -> int:
    """How many lines of what happened on air, older than `age`, were deleted. In batches: no lock lasts long."""
    before, deleted = (now or timezone.now()) - age, 0
    while keys := list(RunEvent.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)[:BATCH]):
        deleted += RunEvent.objects.filter(pk__in=keys).delete()[0]
    return deleted
