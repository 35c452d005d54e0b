"""A stream's schedule: when it goes on air by itself, for its owner and for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import time_zones
from streams import access, actions, schedule, upcoming
from streams.errors import Refused
from streams.models import Schedule, Stream
from streams.schedule_forms import ScheduleForms
from streams.schedule_spec import ScheduleSpec, spec_of, without_past
from streams.views.requests import Request

NEXT_SHOWN: Final = 5
PAST_SHOWN: Final = 10


@login_required
@require_http_methods(["GET", "POST"])
def page(request: Request, pk: int) -> HttpResponse:
    """GET shows it; POST saves the windows, or switches it where `do` says so."""
    stream = access.stream_of(request.user, pk)
    row = Schedule.objects.filter(stream=stream).first()
    stored = spec_of(row) if row else _empty(request, stream)
    if request.method == "GET":
        return _page(request, stream, row, ScheduleForms(spec=without_past(stored, timezone.now())))
    if request.POST.get("do") in ("on", "off"):
        return _switch(request, stream, is_on=request.POST["do"] == "on")
    return _save(request, stream, row, ScheduleForms(request.POST, spec=stored))


@login_required
@require_http_methods(["GET", "POST"])
def clear(request: Request, pk: int) -> HttpResponse:
    """GET asks, POST does."""
    stream = access.stream_of(request.user, pk)
    if request.method == "POST":
        actions.clear_schedule(stream, request.user)
        messages.success(request, _("Schedule cleared. Nothing starts or stops by itself any more."))
        return redirect("streams:schedule", pk)
    question = {
        "title": _("Clear the schedule of «%s»?") % stream.title,
        "text": _("Its windows are forgotten. What is on air stays on air."),
        "action": _("Clear schedule"),
        "back": reverse("streams:schedule", args=[pk]),
    }
    return render(request, "confirm.html", question)


def _empty(request: Request, stream: Stream) -> ScheduleSpec:
    """Before there is one: in its owner's zone, which the owner's browser says where the account does not."""
    is_owner = stream.owner_id == request.user.pk
    zone = time_zones.zone_for(stream.owner, request.COOKIES if is_owner else {})
    return ScheduleSpec(zone.key, ())


def _switch(request: Request, stream: Stream, *, is_on: bool) -> HttpResponse:
    try:
        actions.switch_schedule(stream, is_on, request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("The schedule is on.") if is_on else _("The schedule is off. It is kept."))
    return redirect("streams:schedule", stream.pk)


def _save(request: Request, stream: Stream, row: Schedule | None, forms: ScheduleForms) -> HttpResponse:
    if forms.is_valid():
        try:
            actions.set_schedule(stream, forms.spec(), request.user)
        except Refused as refusal:
            forms.show(refusal)
        else:
            messages.success(request, _("Schedule saved."))
            return redirect("streams:schedule", stream.pk)
    return _page(request, stream, row, forms)


def _page(request: Request, stream: Stream, row: Schedule | None, forms: ScheduleForms) -> HttpResponse:
    now = timezone.now()
    line = upcoming.of_one(stream, now)
    context: dict[str, Any] = {
        "stream": stream,
        "schedule": row,
        "forms": forms,
        "upcoming": line,
        "next": _next(row, now),
        "past": stream.occurrences.filter(closed_at__isnull=False)[:PAST_SHOWN],
        "is_outside": row and row.is_on and not stream.state.is_resting and not (line and line.is_open),
        "is_elsewhere": row and row.zone != timezone.get_current_timezone_name(),
        "here": timezone.get_current_timezone_name(),
    }
    return render(request, "streams/schedule.html", context)


def _next(row: Schedule | None, now: datetime) -> list[schedule.Window]:
    if row is None:
        return []
    spec = spec_of(row)
    return schedule.occurrences(spec.rules, spec.place, now, NEXT_SHOWN)
