"""Add by one command: the operator's side."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any, cast

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from fleet import enrolling
from fleet.enrolling import Made, Wanted
from fleet.errors import WrongState
from fleet.forms import EnrolmentForm
from fleet.models import Enrolment
from fleet.provision import planning
from fleet.views import enrol
from kit.console import ReadOnlyAdmin, pill
from kit.templatetags.kit import ago


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
    """What is pasted, and the same for who wants to know beforehand what will run.

    An authority that no system knows goes along: nobody shall get used to `curl --insecure`.
    """
    address = f"{settings.SITE_URL}/enrol/{made.token}"
    only = "--proto '=https' " if settings.SECURE else ""
    first = ""
    if authority := planning.site_ca():
        first, only = f"echo {b64encode(authority.encode()).decode()} | base64 -d | ", f"--cacert /dev/stdin {only}"
    digest = hashlib.sha256(enrol.rendered(made.token).encode()).hexdigest()
    checked = (
        f"{first}curl {only}-fsSL {address} -o enrol.sh &&\n"
        f"echo '{digest}  enrol.sh' | sha256sum -c &&\n"
        "sudo sh enrol.sh; rm -f enrol.sh"
    )
    return {"command": f"{first}curl {only}-fsSL {address} | sudo sh", "checked": checked}


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


class EnrolmentAdmin(ReadOnlyAdmin):
    list_display = ["made", "name", "state_pill", "vps", "claimed_from", "actor", "failure"]
    list_display_links = ["made"]
    list_select_related = ["vps", "actor"]
    search_fields = ["name", "vps__name", "claimed_from"]

    @admin.display(description=gettext_lazy("made"), ordering="created_at")
    def made(self, row: Enrolment) -> SafeString:
        return format_html('<time datetime="{}">{}</time>', row.created_at.isoformat(), ago(row.created_at))

    @admin.display(description=gettext_lazy("state"))
    def state_pill(self, row: Enrolment) -> SafeString | str:
        return pill(row.state())

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("new/", view(self.new), name="fleet_enrolment_new"),
            path("<int:pk>/state/", view(self.state), name="fleet_enrolment_state"),
            path("<int:pk>/revoke/", view(self.revoke), name="fleet_enrolment_revoke"),
            *super().get_urls(),
        ]

    def new(self, request: HttpRequest) -> HttpResponse:
        self._must_add(request)
        return new(request, self._context(request))

    def state(self, request: HttpRequest, pk: int) -> HttpResponse:
        return state(request, self._one(request, pk))

    def revoke(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._must_add(request)
        return revoke(request, self._one(request, pk))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not object_id.isdecimal():
            raise Http404
        return show(request, self._one(request, int(object_id)), self._context(request))

    def _one(self, request: HttpRequest, pk: int) -> Enrolment:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return get_object_or_404(Enrolment.objects.select_related("vps"), pk=pk)

    def _must_add(self, request: HttpRequest) -> None:
        """Who makes such a command adds a server."""
        if not request.user.has_perm("fleet.add_vps"):
            raise PermissionDenied

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}
