"""The fleet as `selection` wants it: two queries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, FilteredRelation, Q

from fleet.models import Vps, VpsStatus
from fleet.selection import Candidate
from fleet.traffic import share_gone, used_this_month

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
    vpses = list(rows)
    sent = used_this_month((vps.pk for vps in vpses if vps.traffic_gb is not None), now)
    gone = share_gone(now)
    return [_candidate(vps, sent.get(vps.pk, 0), gone, now) for vps in vpses]


def _candidate(vps: Vps, sent_bytes: int, month_gone: float, now: datetime) -> Candidate:
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
        network_mbit=vps.network_mbit,
        uplink_mbit=vps.uplink_mbit,
        sent_bytes=sent_bytes,
        allowed_bytes=vps.allowed_bytes,
        month_gone=month_gone,
        price=None if vps.price is None else float(vps.price),
    )
