"""The fleet as `selection` wants it: two queries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q

from fleet.models import Vps, VpsStatus
from fleet.selection import Candidate

HISTORY: Final = timedelta(days=30)


def candidates(now: datetime) -> list[Candidate]:
    """Every VPS, also those that cannot take anything: the choice says why."""
    history = _success_rates(now - HISTORY)
    return [_candidate(row, history.get(row.pk, 1.0), now) for row in Vps.objects.with_current_streams()]


def _success_rates(since: datetime) -> dict[int, float]:
    """By VPS that ended a run since; from an index alone. By itself: joined to the runs a VPS holds, each would be
    counted with each."""
    ended = Vps.objects.order_by().filter(runs__ended_at__gte=since)
    came_on_air = Count("runs__vps", filter=Q(runs__on_air_at__isnull=False))
    counted = ended.annotate(every=Count("runs__vps"), good=came_on_air).values_list("pk", "every", "good")
    return {vps_id: good / every for vps_id, every, good in counted}


def _candidate(vps: Vps, success_rate: float, now: datetime) -> Candidate:
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
        success_rate=success_rate,
    )
