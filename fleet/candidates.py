"""The fleet as `selection` wants it: two queries, and one where traffic is limited."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Q

from fleet.models import Vps, VpsStatus
from fleet.selection import Candidate
from fleet.traffic import share_gone, used_this_month

HISTORY: Final = timedelta(days=30)


def candidates(now: datetime) -> list[Candidate]:
    """Every VPS, also those that cannot take anything: the choice says why."""
    history = _success_rates(now - HISTORY)
    vpses = list(Vps.objects.with_current_streams())
    sent = used_this_month((vps.pk for vps in vpses if vps.traffic_gb is not None), now)
    gone = share_gone(now)
    return [_candidate(vps, history.get(vps.pk, 1.0), sent.get(vps.pk, 0), gone, now) for vps in vpses]


def _success_rates(since: datetime) -> dict[int, float]:
    """By VPS that ended a run since; from an index alone. By itself: joined to the runs a VPS holds, each would be
    counted with each."""
    ended = Vps.objects.order_by().filter(runs__ended_at__gte=since)
    came_on_air = Count("runs__vps", filter=Q(runs__on_air_at__isnull=False))
    counted = ended.annotate(every=Count("runs__vps"), good=came_on_air).values_list("pk", "every", "good")
    return {vps_id: good / every for vps_id, every, good in counted}


def _candidate(vps: Vps, success_rate: float, sent_bytes: int, month_gone: float, now: datetime) -> Candidate:
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
        network_mbit=vps.network_mbit,
        uplink_mbit=vps.uplink_mbit,
        sent_bytes=sent_bytes,
        allowed_bytes=vps.allowed_bytes,
        month_gone=month_gone,
        price=None if vps.price is None else float(vps.price),
    )
