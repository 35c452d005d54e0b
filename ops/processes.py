"""Which processes of the control plane are alive, by their own word."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Max
from django.utils import timezone

from ops.models import Process

FRESH: Final = timedelta(seconds=45)
KINDS: Final = ("worker", "media", "fleet", "listener", "scheduler")


def record(kind: str, instance: str) -> None:
    Process.objects.update_or_create(kind=kind, instance=instance, defaults={"seen_at": timezone.now()})


def missing(now: datetime) -> dict[str, str]:
    """By kind of those of which none was seen lately: since when, in words."""
    return missing_of(last_seen(), now, now - FRESH)


def missing_of(newest: Mapping[str, datetime], now: datetime, since: datetime) -> dict[str, str]:
    """Of those of which `newest` knows nothing from `since` on."""
    return {
        kind: f"not seen for {_seconds(now - newest[kind])} s" if kind in newest else "never seen"
        for kind in KINDS
        if kind not in newest or newest[kind] < since
    }


def last_seen() -> dict[str, datetime]:
    """By kind: when any of it was seen last."""
    return dict(Process.objects.order_by("kind").values_list("kind").annotate(Max("seen_at")))


def _seconds(passed: timedelta) -> int:
    return int(passed.total_seconds())


def forget_dead(now: datetime) -> int:
    """Deletes rows of processes not seen for a day."""
    deleted, _ = Process.objects.filter(seen_at__lt=now - timedelta(days=1)).delete()
    return deleted
