"""«Upgrade all»: what it would do, asked first; and a rollout watched (AGT-7)."""

from __future__ import annotations

from typing import Final, cast

from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from fleet import actions
from fleet.errors import Refused
from fleet.models import Rollout
from fleet.provision import bundle
from fleet.rollouts import lifecycle, pages
from ops import live

SHOWN: Final = 10
change = permission_required("fleet.change_vps", raise_exception=True)


@require_http_methods(["GET", "HEAD", "POST"])
@change
def ask(request: HttpRequest) -> HttpResponse:
    """GET names which servers, from which agent to which; POST begins with those that were shown, as far as they are
    still to be upgraded."""
    version = bundle.version()
    found = lifecycle.wanted(version)
    if request.method == "POST":
        shown = set(request.POST.getlist("vps"))
        try:
            chosen = [vps for vps in found.due if str(vps.pk) in shown]
            rollout = actions.roll_out(chosen, cast(User, request.user))
        except Refused as refusal:
            messages.error(request, refusal.message)
            return redirect("admin:fleet_upgrade")
        return redirect("admin:rollout", rollout.pk)
    context = {
        **admin.site.each_context(request),
        "title": _("Upgrade all agents"),
        "version": version,
        "due": found.due,
        "unreachable": found.unreachable,
        "open": pages.open_one(),
        "before": list(Rollout.objects.select_related("actor")[:SHOWN]),
    }
    return TemplateResponse(request, "admin/fleet_upgrade.html", context)


@require_safe
@permission_required("fleet.view_vps", raise_exception=True)
def page(request: HttpRequest, pk: int) -> HttpResponse:
    rollout = get_object_or_404(Rollout.objects.select_related("actor"), pk=pk)
    title = _("Upgrade to %(version)s") % {"version": rollout.version}
    context = {"title": title, "at": timezone.now(), **pages.context(rollout)}
    return live.page(request, "admin/rollout.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@change
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """GET leads to the page."""
    rollout = get_object_or_404(Rollout, pk=pk)
    if request.method == "POST":
        try:
            actions.cancel_rollout(rollout, cast(User, request.user))
        except Refused as refusal:
            messages.error(request, refusal.message)
    return redirect("admin:rollout", pk)
