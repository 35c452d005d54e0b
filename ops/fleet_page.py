"""The fleet, a row per VPS (FLT-6): found, filtered and sorted by the database, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import redis
import structlog
from django.contrib.auth.decorators import permission_required
from django.core.paginator import Page, Paginator
from django.db.models import Case, F, FloatField, OrderBy, Q, QuerySet, Value, When
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from fleet import history, standing, traffic, versions
from fleet.models import OutsideLook, Vps
from fleet.provision import bundle
from fleet.rollouts import lifecycle as rollouts
from fleet.rollouts import pages
from ops import live
from ops.sparkline import Spark, spark

log = structlog.get_logger(__name__)
PAGE_SIZE: Final = 50
SPARK_MINUTES: Final = 60
TROUBLE: Final = "trouble"
STANDINGS: Final = {
    TROUBLE: gettext_lazy("in trouble"),
    "well": gettext_lazy("takes streams"),
    "full": gettext_lazy("full"),
    "silent": gettext_lazy("silent"),
    "unhealthy": gettext_lazy("unhealthy"),
    "draining": gettext_lazy("draining"),
    "out": gettext_lazy("out of service"),
}
_UPLINK: Final = Cast(F("network_mbit"), FloatField()) / Cast(F("uplink_mbit"), FloatField())
SORTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "name": (F("name"),),
    "state": (F("status"), F("unhealthy")),
    "streams": (F("current_streams"),),
    "cpu": (F("cpu"),),
    "uplink": (Case(When(uplink_mbit__gt=0, then=_UPLINK), default=Value(None)), F("network_mbit")),
    "version": (F("agent_protocol"), F("agent_version")),
    "heard": (F("last_heartbeat_at"),),
}


@dataclass(frozen=True, slots=True)
class Row:
    vps: Vps
    standing: standing.Standing
    skew: versions.Skew
    spark: Spark | None
    sent_bytes: int | None
    """This month; None: its agent does not count."""
    look: OutsideLook | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the fleet is to be seen, as the address says it; nonsense in it is as if it were not there."""

    q: str
    standing: str
    region: str
    version: str
    sort: str

    @property
    def is_filtered(self) -> bool:
        return any((self.q, self.standing, self.region, self.version))


def asked_in(query: Mapping[str, str]) -> Asked:
    state, sort = query.get("standing", ""), query.get("sort", "name")
    return Asked(
        q=query.get("q", "").strip()[:100],
        standing=state if state in STANDINGS else "",
        region=query.get("region", "")[:40],
        version=query.get("version", "")[:40],
        sort=sort if sort.removeprefix("-") in SORTS else "name",
    )


@require_safe
@permission_required("fleet.view_vps", raise_exception=True)
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    asked = asked_in(request.GET.dict())
    shown = Paginator(found(asked, now), PAGE_SIZE).get_page(request.GET.get("page"))
    names = Vps.objects.order_by()
    ours = bundle.version()
    context = {
        "title": _("Fleet"),
        "ours": ours,
        "outdated": rollouts.outdated(ours).count(),
        "rollout": pages.open_one(),
        "asked": asked,
        "page": shown,
        "rows": rows(shown, now),
        "total": names.count(),
        "troubled": standing.troubled(names.all(), now).count(),
        "standings": STANDINGS.items(),
        "regions": _distinct(names, "region"),
        "versions": _distinct(names, "agent_version"),
        "columns": _columns(asked.sort),
        "at": now,
    }
    return live.page(request, "admin/fleet.html", context)


def found(asked: Asked, now: datetime) -> QuerySet[Vps]:
    vpses = Vps.objects.with_current_streams()
    if asked.standing == TROUBLE:
        chosen = standing.troubled(vpses, now)
    else:
        chosen = standing.only(vpses, asked.standing, now) if asked.standing else vpses
    if asked.q:
        chosen = chosen.filter(Q(name__icontains=asked.q) | Q(host__icontains=asked.q) | Q(region__icontains=asked.q))
    if asked.region:
        chosen = chosen.filter(region=asked.region)
    if asked.version:
        chosen = chosen.filter(agent_version=asked.version)
    return chosen.order_by(*_order(asked.sort), "name")


def _order(sort: str) -> list[OrderBy]:
    """What is not known stands last, whichever way round."""
    down = sort.startswith("-")
    return [OrderBy(by, descending=down, nulls_last=True) for by in SORTS[sort.removeprefix("-")]]


def rows(vpses: Page[Vps] | Sequence[Vps], now: datetime) -> list[Row]:
    """Three queries and one round trip to Redis, however many."""
    ids = [vps.pk for vps in vpses]
    curves = _curves(ids, now)
    sent = traffic.used_this_month(ids, now)
    looks, ours = OutsideLook.objects.in_bulk(ids), bundle.version()
    return [
        Row(
            vps=vps,
            standing=standing.of(vps, now, looks.get(vps.pk)),
            skew=versions.skew(vps.agent_version, vps.agent_protocol, ours),
            spark=_spark(curves.get(vps.pk)),
            sent_bytes=sent.get(vps.pk),
            look=looks.get(vps.pk),
        )
        for vps in vpses
    ]


def _spark(curve: history.Curve | None) -> Spark | None:
    return spark([each.cpu if each else None for each in curve.readings]) if curve else None


def _curves(vps_ids: list[int], now: datetime) -> dict[int, history.Curve]:
    """Nothing while Redis is away: the rest of the page is as it is."""
    try:
        return history.curves(vps_ids, SPARK_MINUTES, now)
    except redis.RedisError as error:
        log.warning("fleet.history_unavailable", error=type(error).__name__)
        return {}


def _distinct(vpses: QuerySet[Vps], column: str) -> list[str]:
    return [value for value in vpses.values_list(column, flat=True).distinct().order_by(column) if value]


@dataclass(frozen=True, slots=True)
class Column:
    """`sort`: what a press on its head asks for; empty: it cannot be sorted by."""

    name: str
    sort: str
    direction: str
    """ascending, descending or none, as ARIA says it."""

    @property
    def key(self) -> str:
        return self.sort.removeprefix("-")

    @property
    def down(self) -> str:
        return f"-{self.key}"


def _columns(sort: str) -> list[Column]:
    titles = (
        (_("VPS"), "name"), (_("State"), "state"), (_("Streams"), "streams"), (_("CPU, last hour"), "cpu"),
        (_("Uplink"), "uplink"), (_("Traffic this month"), ""), (_("Agent"), "version"), (_("Heartbeat"), "heard"),
    )  # fmt: skip
    return [_column(title, key, sort) for title, key in titles]


def _column(title: str, key: str, sort: str) -> Column:
    if key and sort == key:
        return Column(title, f"-{key}", "ascending")
    return Column(title, key, "descending" if key and sort == f"-{key}" else "none")
