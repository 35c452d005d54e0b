"""Streams that hang between two states (STR-9), and the rows that starts leave behind."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from streams.converge import resolve_overdue
from streams.models import Progress, Status


def force_stop_hanging(limit: timedelta = timedelta(minutes=5), now: datetime | None = None) -> int:
    """How many were resolved. Streams on air are not touched: their silence may be our own listener's."""
    return sum(resolve_overdue(status, limit, now) for status in (Status.STARTING, Status.STOPPING))


def clean_progress(age: timedelta = timedelta(days=7), now: datetime | None = None) -> int:
    """How many progress rows older than `age` were deleted."""
    deleted, _ = Progress.objects.filter(at__lt=(now or timezone.now()) - age).delete()
    return deleted
