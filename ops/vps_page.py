"""One VPS: how it is, what it carries, its curves, what its agent says, and the buttons (FLT-6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Any, Final, cast

import redis
from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from accounts.models import AuditEntry, User
from fleet import history, looking
from fleet.history import Curve, Reading
from fleet.models import Vps
from ops import fleet_page, live, vps_verbs
from streams import pages
from streams.models import Run, Stream

RUNS_SHOWN: Final = 10
AUDIT_SHOWN: Final = 8
PROVISIONS_SHOWN: Final = 3
STREAMS_SHOWN: Final = 100
HOURS: Final = {"1": 1, "24": 24}
POINTS: Final = 360
"""In a curve at most: several minutes become one point."""
QUESTIONS: Final = {
    "log": gettext_lazy("Log of the agent"),
    "processes": gettext_lazy("Processes"),
    "nginx": gettext_lazy("nginx"),
}
view = permission_required("fleet.view_vps", raise_exception=True)


@require_safe
@view
def page(request: HttpRequest, pk: int) -> HttpResponse:
    now = timezone.now()
    vps = find(pk)
    return live.page(request, "admin/vps.html", context(vps, cast(User, request.user), now))


def find(pk: int) -> Vps:
    vpses = Vps.objects.with_current_streams().select_related("redis_user")
    vps: Vps = get_object_or_404(vpses, pk=pk)
    return vps


def context(vps: Vps, viewer: User, now: datetime) -> dict[str, Any]:
    """In a fixed number of queries."""
    (row,) = fleet_page.rows([vps], now)
    return {
        "title": vps.name,
        "vps": vps,
        "row": row,
        "look": row.look if looking.has_login(vps) else None,
        "has_login": looking.has_login(vps),
        "verbs": vps_verbs.offered(vps, viewer),
        "streams": pages.rows(list(_streams(vps)[:STREAMS_SHOWN]), now),
        "runs": _ended(vps),
        "questions": QUESTIONS.items(),
        "audit": list(AuditEntry.objects.filter(target_type="fleet.vps", target_id=str(vps.pk))[:AUDIT_SHOWN]),
        "provisions": list(vps.provisions.select_related("actor")[:PROVISIONS_SHOWN]),
        "hour": summary(_curve(vps, 1, now)),
        "at": now,
    }


def _streams(vps: Vps) -> QuerySet[Stream]:
    """Those whose run holds a slot on it."""
    held = Stream.objects.filter(run__vps=vps, run__slot_released_at=None)
    return held.select_related("owner", "run__vps").order_by("status_since", "pk")


def held_titles(vps: Vps) -> list[str]:
    return list(_streams(vps).values_list("title", flat=True)[:STREAMS_SHOWN])


def _ended(vps: Vps) -> list[Run]:
    ended = vps.runs.filter(ended_at__isnull=False).select_related("stream")
    return list(ended.order_by("-ended_at")[:RUNS_SHOWN])


# ------------------------------------------------------------------------------------------------ curves


@require_safe
@view
def load(request: HttpRequest, pk: int) -> JsonResponse:
    """For the charts. Moments are unix seconds; where nothing was heard stands null."""
    vps = get_object_or_404(Vps, pk=pk)
    hours = HOURS.get(request.GET.get("hours", ""), 1)
    try:
        curve = history.curves([vps.pk], hours * 60, timezone.now())[vps.pk]
    except redis.RedisError:
        return JsonResponse({"reason": _("Redis does not answer.")}, status=503)
    return JsonResponse(drawn(curve) | {"limit_mbit": vps.uplink_mbit})


def drawn(curve: Curve) -> dict[str, Any]:
    """Thinned to `POINTS`: each point is the mean of the minutes it stands for."""
    step = -(-len(curve.readings) // POINTS)
    groups = [curve.readings[first : first + step] for first in range(0, len(curve.readings), step)]
    moments = [(curve.first_minute + index * step) * 60 for index in range(len(groups))]
    return {"moments": moments, **{name: [_mean(group, name) for group in groups] for name in MEASURES}}


MEASURES: Final = ("cpu", "memory", "disk", "mbit", "streams")


def _mean(readings: tuple[Reading | None, ...], name: str) -> float | None:
    values = list(_values(readings, name))
    return round(fmean(values), 1) if values else None


def _values(readings: tuple[Reading | None, ...], name: str) -> Iterator[float]:
    return (float(getattr(each, name)) for each in readings if each is not None)


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one curve, for who cannot see it."""

    name: str
    label: str
    unit: str
    mean: float
    most: float


def summary(curve: Curve | None) -> list[Measure]:
    """Empty without a reading."""
    labels = {
        "cpu": (_("CPU"), "%"), "memory": (_("Memory"), "%"), "disk": (_("Disk"), "%"),
        "mbit": (_("Uplink"), "Mbit/s"), "streams": (_("Streams"), ""),
    }  # fmt: skip
    found = []
    for name, (label, unit) in labels.items():
        values = list(_values(curve.readings, name)) if curve else []
        if values:
            found.append(Measure(name, label, unit, fmean(values), max(values)))
    return found


def _curve(vps: Vps, hours: int, now: datetime) -> Curve | None:
    try:
        return history.curves([vps.pk], hours * 60, now)[vps.pk]
    except redis.RedisError:
        return None
