"""The operators' list of what went wrong, over everybody's streams."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from streams import incident_log
from streams.incident_kinds import What
from streams.incident_log import Told

SHOWN: Final = 200
IN_CSV: Final = 5_000
RANGES: Final = {"1": 1, "7": 7, "30": 30}
GRAVE: Final = (What.START, What.OUTAGE, What.PLAYER, What.DESTINATION)
"""What put something off air; the rest was seen on air."""


def page(request: HttpRequest) -> HttpResponse:
    days, everything = _asked(request)
    context = {
        **admin.site.each_context(request),
        "title": _("Incidents"),
        "told": _told(days, everything, SHOWN),
        "days": days,
        "ranges": list(RANGES.values()),
        "everything": everything,
        "most": SHOWN,
    }
    return TemplateResponse(request, "admin/incidents.html", context)


def table(request: HttpRequest) -> HttpResponse:
    rows = _told(*_asked(request), IN_CSV)
    headers = {"Content-Disposition": 'attachment; filename="incidents.csv"'}
    return HttpResponse(incident_log.as_csv(rows), content_type="text/csv; charset=utf-8", headers=headers)


def _asked(request: HttpRequest) -> tuple[int, bool]:
    return RANGES.get(request.GET.get("days", ""), 7), request.GET.get("all") == "1"


def _told(days: int, everything: bool, most: int) -> list[Told]:
    now = timezone.now()
    kinds = tuple(What) if everything else GRAVE
    return incident_log.told_of_all(now - timedelta(days=days), now, most, kinds)
