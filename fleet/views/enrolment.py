"""Add by one command: the operator's side."""

from __future__ import annotations

import hashlib
from typing import Any, cast

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from fleet import enrolling
from fleet.enrolling import Made, Wanted
from fleet.errors import WrongState
from fleet.forms import EnrolmentForm
from fleet.models import Enrolment
from fleet.views import enrol


def new(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """GET asks how it is to be; POST shows the command, this once."""
    form = EnrolmentForm(request.POST or None)
    if request.method == "POST" and enrol.is_possible() and form.is_valid():
        data = form.cleaned_data
        wanted = Wanted(name=data["name"], region=data["region"], max_streams=data["max_streams"])
        made = enrolling.make(wanted, cast(User, request.user), timezone.now())
        return _shown(request, made.enrolment, context | commands(made))
    shown = {"title": _("Add a server by one command"), "form": form, "is_possible": enrol.is_possible()}
    return TemplateResponse(request, "admin/fleet/enrolment/new.html", context | shown)


def commands(made: Made) -> dict[str, str]:
    """What is pasted, and the same for who wants to know beforehand what will run."""
    address = f"{settings.SITE_URL}/enrol/{made.token}"
    only = "--proto '=https' " if settings.SECURE else ""
    digest = hashlib.sha256(enrol.rendered(made.token).encode()).hexdigest()
    checked = (
        f"curl {only}-fsSL {address} -o enrol.sh &&\n"
        f"echo '{digest}  enrol.sh' | sha256sum -c &&\n"
        "sudo sh enrol.sh; rm -f enrol.sh"
    )
    return {"command": f"curl {only}-fsSL {address} | sudo sh", "checked": checked}


def show(request: HttpRequest, enrolment: Enrolment, context: dict[str, Any]) -> HttpResponse:
    return _shown(request, enrolment, context)


def _shown(request: HttpRequest, enrolment: Enrolment, context: dict[str, Any]) -> HttpResponse:
    shown = {"title": _("Add a server by one command"), **_state(enrolment)}
    response = TemplateResponse(request, "admin/fleet/enrolment/show.html", context | shown)
    response["Cache-Control"] = "no-store"
    return response


def state(request: HttpRequest, enrolment: Enrolment) -> HttpResponse:
    """For a page that waits."""
    return TemplateResponse(request, "admin/fleet/enrolment/state.html", _state(enrolment))


def _state(enrolment: Enrolment) -> dict[str, Any]:
    now = timezone.now()
    if enrolling.is_heard(enrolment, now):
        enrolment.refresh_from_db()
    return {"enrolment": enrolment, "state": enrolment.state(now)}


def revoke(request: HttpRequest, enrolment: Enrolment) -> HttpResponse:
    """GET leads to the page."""
    if request.method == "POST":
        try:
            enrolling.revoke(enrolment, cast(User, request.user), timezone.now())
        except WrongState as refusal:
            messages.error(request, str(refusal))
    return redirect("admin:fleet_enrolment_change", enrolment.pk)
