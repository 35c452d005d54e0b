"""A provisioning: asked for, watched, resumed, cancelled."""

from __future__ import annotations

from typing import Any, Final, cast

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from fleet import actions
from fleet.errors import WrongState
from fleet.models import ProvisionRun, Vps
from fleet.provision import pages
from fleet.provision.apt import Upgrade

SHOWN: Final = 20


def ask(request: HttpRequest, vps: Vps, context: dict[str, Any]) -> HttpResponse:
    """GET says what will be done and shows what was done before; POST does it."""
    if request.method == "POST":
        try:
            run = actions.provision(vps, cast(User, request.user))
        except WrongState as refusal:
            messages.error(request, str(refusal))
            return redirect("admin:fleet_vps_provision", vps.pk)
        return redirect("admin:fleet_provisionrun_change", run.pk)
    runs = list(vps.provisions.select_related("actor")[:SHOWN])
    shown = {
        "vps": vps,
        "title": _("Provision"),
        "runs": runs,
        "open": next((run for run in runs if not run.is_over), None),
        "held": vps.runs.holding().count(),
        "upgrade": Upgrade(settings.PROVISION_UPGRADE).value,
        "has_firewall": settings.PROVISION_FIREWALL,
        "may_connect": bool(vps.host_key or settings.SSH_TRUST_FIRST_USE),
    }
    return TemplateResponse(request, "admin/fleet/vps/provision.html", {**context, **shown})


def watch(request: HttpRequest, run: ProvisionRun, context: dict[str, Any]) -> HttpResponse:
    shown = pages.context(run, timezone.now())
    title = f"{run.vps}: {run.what.label}"
    return TemplateResponse(request, "admin/fleet/provisionrun/show.html", {**context, **shown, "title": title})


def fragments(run: ProvisionRun) -> HttpResponse:
    """For a page whose socket is gone."""
    return HttpResponse(pages.live_html(run, timezone.now(), everything=True))


def verb(request: HttpRequest, run: ProvisionRun, name: str) -> HttpResponse:
    """GET leads to the page."""
    act = {"resume": actions.resume, "cancel": actions.cancel}.get(name)
    if act is None:
        raise Http404
    if request.method == "POST":
        try:
            act(run, cast(User, request.user))
        except WrongState as refusal:
            messages.error(request, str(refusal))
    return redirect("admin:fleet_provisionrun_change", run.pk)
