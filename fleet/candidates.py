"""The fleet as `selection` wants it: one query."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, FilteredRelation, Q

from fleet.models import Vps, VpsStatus
from fleet.selection import Candidate

HISTORY: Final = timedelta(days=30)


def candidates(now: datetime) -> list[Candidate]:
    """Every VPS, also those that cannot take anything: the choice says why."""
    recent = FilteredRelation("runs", condition=Q(runs__ended_at__gte=now - HISTORY))
    came_on_air = Q(recent_runs__on_air_at__isnull=False)
    rows = Vps.objects.with_current_streams().annotate(
        recent_runs=recent,
        ended_runs=Count("recent_runs", distinct=True),
        good_runs=Count("recent_runs", filter=came_on_air, distinct=True),
    )
    return [_candidate(row, now) for row in rows]


def _candidate(vps: Vps, now: datetime) -> Candidate:
    ended: int = vps.ended_runs  # type: ignore[attr-defined]
    good: int = vps.good_runs  # type: ignore[attr-defined]
    return Candidate(
        vps_id=vps.pk,
        name=vps.name,
        is_active=vps.state is VpsStatus.ACTIVE,
        is_multistream=vps.supports_multistream,
        is_reachable=vps.is_reachable(now),
        is_accepting=vps.accepting,
        unhealthy=vps.unhealthy,
        max_streams=vps.max_streams,
        current_streams=vps.current_streams,  # type: ignore[attr-defined]
        cpu=vps.cpu,
        memory=vps.memory,
        latency_ms=vps.latency_ms,
        success_rate=good / ended if ended else 1.0,
    )
