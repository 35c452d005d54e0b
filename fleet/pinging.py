"""PING, to measure how far away agents are and whether they take commands."""

from __future__ import annotations

from datetime import datetime

from agent.protocol import Ping
from fleet import commands
from fleet.models import Vps


def ping(vps_id: int, now: datetime) -> bool:
    """True when an agent heard it; its PONG comes on the agent's channel."""
    return commands.publish(vps_id, Ping(timestamp=now.timestamp())) > 0


def ping_reachable(now: datetime) -> int:
    """How many agents were asked."""
    reachable = list(Vps.objects.reachable(now).values_list("pk", flat=True))
    return sum(heard > 0 for heard in commands.publish_to_all(reachable, Ping(timestamp=now.timestamp())))
