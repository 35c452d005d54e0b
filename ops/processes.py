"""Which processes of the control plane are alive, by their own word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Max
from django.utils import timezone

from fleet import tunnels
from ops.models import Process

FRESH: Final = timedelta(seconds=45)
KINDS: Final = ("worker", "media", "fleet", "listener", "scheduler")
"""Those that must always run."""
TUNNELS: Final = "tunnels"


def record(kind: str, instance: str) -> None:
    Process.objects.update_or_create(kind=kind, instance=instance, defaults={"seen_at": timezone.now()})


def expected() -> tuple[str, ...]:
    """The kinds that must run: tunnels only where a VPS is reached by one."""
    return (*KINDS, TUNNELS) if tunnels.wished().exists() else KINDS


def missing(now: datetime) -> dict[str, str]:
    """By kind of those of which none was seen lately: since when, in words."""
    return missing_of(expected(), last_seen(), now, now - FRESH)


def missing_of(kinds: Sequence[str], newest: Mapping[str, datetime], now: datetime, since: datetime) -> dict[str, str]:
    """Of those of which `newest` knows nothing from `since` on."""
    return {
        kind: f"not seen for {_seconds(now - newest[kind])} s" if kind in newest else "never seen"
        for kind in kinds
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
