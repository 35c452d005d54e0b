"""How loaded the fleet is as a whole: sums over those in service, in a handful of queries whatever its size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import Avg, Count, F, FloatField, Max, Q, Sum
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from agent.protocol import PROTOCOL_VERSION, SKEW
from fleet import standing
from fleet.checkups import IN_SERVICE
from fleet.models import MonthTraffic, Vps, VpsStatus, heard_lately
from fleet.selection import TRAFFIC_GONE
from fleet.traffic import GB, month_of
from streams.models import Run

SHOWN: Final = 6
UPLINK_SHARE: Final = 0.85


@dataclass(frozen=True, slots=True)
class NearlyUsed:
    vps_id: int
    name: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLoad:
    """`slots` of those that take streams, `held` of those slots. Uplink of those that have a limit, Mbit/s. CPU in
    percent, None when nobody is heard of."""

    vpses: int
    in_service: int
    reachable: int
    troubled: int
    foreign: int
    slots: int
    held: int
    uplink_mbit: float
    uplink_limit_mbit: float
    network_mbit: float
    cpu: float | None
    cpu_most: float | None
    traffic: tuple[NearlyUsed, ...]

    @property
    def uplink_high(self) -> float:
        """From here on it is shown as too much."""
        return self.uplink_limit_mbit * UPLINK_SHARE


def look(now: datetime) -> FleetLoad:
    sums = _sums(now)
    return FleetLoad(
        vpses=sums["vpses"],
        in_service=sums["in_service"],
        reachable=sums["reachable"],
        troubled=standing.troubled(Vps.objects.all(), now).count(),
        foreign=sums["foreign"],
        slots=sums["slots"] or 0,
        held=Run.objects.holding().filter(vps__status=VpsStatus.ACTIVE).count(),
        uplink_mbit=sums["uplink"] or 0.0,
        uplink_limit_mbit=sums["uplink_limit"] or 0.0,
        network_mbit=sums["network"] or 0.0,
        cpu=sums["cpu_mean"],
        cpu_most=sums["cpu_most"],
        traffic=tuple(_nearly_used(now)),
    )


def _sums(now: datetime) -> dict[str, Any]:
    served = Q(status__in=IN_SERVICE)
    heard = served & heard_lately(now)
    limited = heard & Q(uplink_mbit__gt=0)
    oldest, newest = PROTOCOL_VERSION - SKEW, PROTOCOL_VERSION + SKEW
    return Vps.objects.aggregate(
        vpses=Count("pk"),
        in_service=Count("pk", filter=served),
        reachable=Count("pk", filter=heard),
        foreign=Count("pk", filter=heard & (Q(agent_protocol__lt=oldest) | Q(agent_protocol__gt=newest))),
        slots=Sum("max_streams", filter=Q(status=VpsStatus.ACTIVE)),
        uplink=Sum("network_mbit", filter=limited),
        uplink_limit=Sum("uplink_mbit", filter=limited),
        network=Sum("network_mbit", filter=heard),
        cpu_mean=Avg("cpu", filter=heard),
        cpu_most=Max("cpu", filter=heard),
    )


def _nearly_used(now: datetime) -> list[NearlyUsed]:
    near = MonthTraffic.objects.filter(
        month=month_of(now),
        vps__status__in=IN_SERVICE,
        sent_bytes__gte=Cast(F("vps__traffic_gb"), FloatField()) * GB * TRAFFIC_GONE,
    )
    rows = near.select_related("vps").order_by("-sent_bytes")[:SHOWN]
    return [NearlyUsed(row.vps_id, row.vps.name, _used(row)) for row in rows]


def _used(row: MonthTraffic) -> str:
    words = _("%(sent).0f of %(allowed)d GB of this month's traffic are used")
    return words % {"sent": row.sent_bytes / GB, "allowed": row.vps.traffic_gb}
