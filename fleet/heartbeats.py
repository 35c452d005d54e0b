"""What agents say about their machines, written down."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Case, F, FloatField, Value, When
from django.db.models.functions import Coalesce

from agent.protocol import Heartbeat, Pong
from fleet.health import SILENT_S
from fleet.models import Vps

NEWEST_WEIGHS: Final = 0.05
"""In `busy`. At a heartbeat every five seconds, what was a hundred seconds ago still counts for a third."""
MOST_S: Final = 10.0**9


def apply_heartbeat(heartbeat: Heartbeat, now: datetime) -> bool:
    """False for a VPS that is not in the database. Times are ours: an agent's clock may be wrong.

    What was held against it when it fell silent, or for being silent, is out of date: it starts well.
    """
    load = heartbeat.load
    was_heard = When(last_heartbeat_at__gte=now - timedelta(seconds=SILENT_S), then=F("unhealthy"))
    cpu = _percent(load.cpu)
    rows = Vps.objects.filter(pk=heartbeat.vps_id).update(
        cpu=cpu,
        busy=Coalesce(F("busy"), Value(cpu, FloatField())) * (1 - NEWEST_WEIGHS) + cpu * NEWEST_WEIGHS,
        memory=_percent(load.memory),
        disk=_percent(load.disk),
        network_mbit=max(0.0, load.network_mbit),
        clock_offset_s=min(MOST_S, max(-MOST_S, heartbeat.timestamp - now.timestamp())),
        agent_version=heartbeat.agent_version[:40],
        agent_protocol=min(2**31 - 1, max(0, heartbeat.protocol)),
        accepting=heartbeat.accepting,
        unhealthy=Case(was_heard, default=Value("")),
        last_heartbeat_at=now,
    )
    return rows > 0


def apply_pong(pong: Pong, now: datetime) -> bool:
    """Latency is the way there and back by our own clock; without our own time in it a pong says nothing."""
    if pong.ping_timestamp is None:
        return False
    latency_ms = (now.timestamp() - pong.ping_timestamp) * 1000
    if not 0 <= latency_ms < 60_000:
        return False
    return Vps.objects.filter(pk=pong.vps_id).update(latency_ms=latency_ms) > 0


def _percent(value: float) -> float:
    return min(100.0, max(0.0, value))
