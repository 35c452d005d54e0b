"""What agents say about their machines, written down: of many VPSes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from agent.protocol import Heartbeat, Pong
from fleet.health import SILENT_S
from fleet.models import Vps
from kit.bulk import locked, update_rows
from kit.conflicts import again_on_conflict

NEWEST_WEIGHS: Final = 0.05
"""In `busy`. At a heartbeat every five seconds, what was a hundred seconds ago still counts for a third."""
MOST_S: Final = 10.0**9


@again_on_conflict
@transaction.atomic
def apply(heartbeats: Iterable[Heartbeat], now: datetime) -> set[int]:
    """At most one of each VPS. Ids of those that are in the database. Times are ours: an agent's clock may be wrong."""
    by_vps = {heartbeat.vps_id: heartbeat for heartbeat in heartbeats}
    before = list(locked(Vps, by_vps).only("busy", "unhealthy", "harms_since", "last_heartbeat_at"))
    update_rows(Vps, {vps.pk: _columns(by_vps[vps.pk], vps.busy, now) | _held_against(vps, now) for vps in before})
    return {vps.pk for vps in before}


def _held_against(vps: Vps, now: datetime) -> dict[str, Any]:
    """What was found when it fell silent, or for being silent, is out of date with its first heartbeat."""
    silent_since = now - timedelta(seconds=SILENT_S)
    if vps.last_heartbeat_at is None or vps.last_heartbeat_at < silent_since:
        return {"unhealthy": "", "harms_since": None}
    return {"unhealthy": vps.unhealthy, "harms_since": vps.harms_since}


def _columns(heartbeat: Heartbeat, busy: float | None, now: datetime) -> dict[str, Any]:
    load = heartbeat.load
    cpu = _percent(load.cpu)
    return {
        "cpu": cpu,
        "busy": (cpu if busy is None else busy) * (1 - NEWEST_WEIGHS) + cpu * NEWEST_WEIGHS,
        "memory": _percent(load.memory),
        "disk": _percent(load.disk),
        "network_mbit": max(0.0, load.network_mbit),
        "clock_offset_s": min(MOST_S, max(-MOST_S, heartbeat.timestamp - now.timestamp())),
        "agent_version": heartbeat.agent_version[:40],
        "agent_protocol": min(2**31 - 1, max(0, heartbeat.protocol)),
        "accepting": heartbeat.accepting,
        "last_heartbeat_at": now,
    }


def latency_ms(pong: Pong, now: datetime) -> float | None:
    """The way there and back by our own clock; without our own time in it a pong says nothing."""
    if pong.ping_timestamp is None:
        return None
    found = (now.timestamp() - pong.ping_timestamp) * 1000
    return found if 0 <= found < 60_000 else None


@again_on_conflict
@transaction.atomic
def apply_latencies(found: Mapping[int, float]) -> None:
    """By VPS, in milliseconds."""
    known = locked(Vps, found).values_list("pk", flat=True)
    update_rows(Vps, {vps_id: {"latency_ms": found[vps_id]} for vps_id in known})


def _percent(value: float) -> float:
    return min(100.0, max(0.0, value))
