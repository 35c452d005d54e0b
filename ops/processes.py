"""Which processes of the control plane are alive, by their own word."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from ops.models import Process

FRESH: Final = timedelta(seconds=45)
KINDS: Final = ("worker", "media", "listener", "scheduler")


def record(kind: str, instance: str) -> None:
    Process.objects.update_or_create(kind=kind, instance=instance, defaults={"seen_at": timezone.now()})


def seen(now: datetime) -> dict[str, bool]:
    """By kind: whether one was seen lately."""
    fresh = Process.objects.filter(seen_at__gte=now - FRESH).values_list("kind", flat=True)
    kinds = set(fresh)
    return {kind: kind in kinds for kind in KINDS}


def forget_dead(now: datetime) -> int:
    """Deletes rows of processes not seen for a day."""
    deleted, _ = Process.objects.filter(seen_at__lt=now - timedelta(days=1)).delete()
    return deleted
