"""Operators' pages for the fleet."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import User
from fleet import actions as verbs
from fleet.errors import WrongState
from fleet.forms import VpsForm
from fleet.lifecycle import Event
from fleet.models import Enrolment, ProvisionRun, Vps, VpsStatus
from fleet.provision import keys
from fleet.views import connection, provisioning
from fleet.views.enrolment import EnrolmentAdmin
from kit.console import NoBulkDelete, ReadOnlyAdmin, pill, verdict
from kit.templatetags.kit import ago, clock

_AGENT = ["agent_version", "agent_protocol"]
_SSH = ["ssh_user", "ssh_port", "password", "private_key", "use_key", "redis_by_tunnel"]
_ADDED = [
    (None, {"fields": ["name", "host", "region", "max_streams"]}),
    (_("SSH"), {"fields": _SSH}),
    (_("Limits"), {"fields": ["supports_multistream", "uplink_mbit"]}),
]


@admin.register(Vps)
class VpsAdmin(NoBulkDelete, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "state", "reachable", "streams", "load", "network", "heard", "health", "agent_version"]
    list_filter = ["status", "region", "supports_multistream"]
    search_fields = ["name", "host", "region"]
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 100
    actions = ["activate", "drain", "drain_softly", "deactivate"]
    form = VpsForm
    change_form_template = "admin/fleet/vps/change_form.html"
    readonly_fields = [
        "state", "draining", "fingerprint", "known_ways", "reachable", "health", "streams", "runs_held", "load", "busy",
        "network", "heard", "clock_offset_s", "agent_version", "agent_protocol", "last_health_check_at",
        "status_message", "created_at",
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["name", "host", "region", "state", "status_message"]}),
        (_("Now"), {"fields": ["reachable", "draining", "streams", "runs_held", "load", "network", "heard"]}),
        (_("Health"), {"fields": ["health", "last_health_check_at", "busy", "clock_offset_s", *_AGENT]}),
        (_("Limits"), {"fields": ["max_streams", "supports_multistream", "uplink_mbit", "traffic_gb", "price"]}),
        (_("SSH"), {"fields": ["fingerprint", "known_ways", *_SSH]}),
        (_("Dates"), {"fields": ["created_at"]}),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: Vps | None = None) -> Any:
        """Of one that is not there yet nothing is known."""
        return super().get_fieldsets(request, obj) if obj else _ADDED

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Vps]:
        return Vps.objects.with_current_streams()

    @admin.display(description=_("status"), ordering="status")
    def state(self, vps: Vps) -> SafeString | str:
        left = self.draining(vps)
        return format_html("{}<br><small>{}</small>", pill(vps.state), left) if left else pill(vps.state)

    @admin.display(description=_("draining"))
    def draining(self, vps: Vps) -> str:
        """What is still to be done; empty for one that is not drained."""
        if vps.state is not VpsStatus.DRAINING:
            return ""
        n = getattr(vps, "current_streams", 0)
        left = ngettext("%(n)d stream left", "%(n)d streams left", n) % {"n": n}
        return _("%(left)s, moved one after another") % {"left": left} if vps.drain_moves else left

    @admin.display(description=_("reachable"), ordering="last_heartbeat_at")
    def reachable(self, vps: Vps) -> SafeString:
        return verdict(vps.is_reachable(), str(_("reachable")), str(_("silent")))

    @admin.display(description=_("health"), ordering="unhealthy")
    def health(self, vps: Vps) -> SafeString | str:
        """As the last check found it; a VPS that was never checked has none."""
        if vps.last_health_check_at is None:
            return "–"
        return verdict(not vps.unhealthy, str(_("well")), vps.unhealthy)

    @admin.display(description=_("streams"), ordering="current_streams")
    def streams(self, vps: Vps) -> str:
        return f"{getattr(vps, 'current_streams', 0)} / {vps.max_streams}"

    @admin.display(description=_("runs it holds"))
    def runs_held(self, vps: Vps) -> SafeString | str:
        held = vps.runs.holding().select_related("stream").order_by("requested_at")
        links = ((reverse("admin:streams_run_change", args=[run.pk]), run.stream.title) for run in held)
        return format_html_join(", ", '<a href="{}">{}</a>', links) or "–"

    @admin.display(description=_("CPU, memory, disk"), ordering="cpu")
    def load(self, vps: Vps) -> SafeString | str:
        values = [vps.cpu, vps.memory, vps.disk]
        if all(value is None for value in values):
            return "–"
        cells = ((value or 0, f"{value:.0f} %" if value is not None else "–") for value in values)
        return format_html_join(
            " ", '<span class="load"><meter min="0" max="100" high="85" value="{}"></meter>{}</span>', cells
        )

    @admin.display(description=_("network (Mbit/s)"), ordering="network_mbit")
    def network(self, vps: Vps) -> str:
        used = "–" if vps.network_mbit is None else f"{vps.network_mbit:.0f}"
        return f"{used} / {vps.uplink_mbit}" if vps.uplink_mbit else used

    @admin.display(description=_("last heartbeat"), ordering="last_heartbeat_at")
    def heard(self, vps: Vps) -> SafeString | str:
        if vps.last_heartbeat_at is None:
            return str(_("never"))
        return format_html(
            '<time datetime="{}">{}</time>', vps.last_heartbeat_at.isoformat(), ago(vps.last_heartbeat_at)
        )

    @admin.action(description=_("Take streams"), permissions=["change"])
    def activate(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, Event.ACTIVATE)

    @admin.action(description=_("Drain: move its streams to others now, one after another"), permissions=["change"])
    def drain(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, Event.EVACUATE)

    @admin.action(description=_("Drain: no new streams, those on it play to their end"), permissions=["change"])
    def drain_softly(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, Event.DRAIN)

    @admin.action(description=_("Switch off: no new streams"), permissions=["change"])
    def deactivate(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, Event.SWITCH_OFF)

    def _set(self, request: HttpRequest, chosen: models.QuerySet[Vps], event: Event) -> None:
        done = 0
        for vps in chosen:
            try:
                verbs.set_state(vps, event, cast(User, request.user), request)
                done += 1
            except WrongState as refusal:
                self.message_user(request, f"{vps}: {refusal}", messages.ERROR)
        self.message_user(request, _("%(n)d VPSes changed.") % {"n": done}, messages.SUCCESS)

    # -------------------------------------------------------------------------------------------- SSH
    @admin.display(description=_("host key"))
    def fingerprint(self, vps: Vps) -> SafeString | str:
        address = reverse("admin:fleet_vps_connection", args=[vps.pk])
        words = keys.fingerprint(vps.host_key) if vps.host_key else _("not confirmed: test the connection")
        return format_html('<a href="{}">{}</a>', address, words)

    @admin.display(description=_("signs in by"))
    def known_ways(self, vps: Vps) -> str:
        known = [(vps.sealed_private_key, _("private key")), (vps.sealed_password, _("password"))]
        return ", ".join(str(name) for sealed, name in known if sealed) or "–"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/connection/", view(self.connection), name="fleet_vps_connection"),
            path("<int:pk>/provision/", view(self.provision), name="fleet_vps_provision"),
            *super().get_urls(),
        ]

    def connection(self, request: HttpRequest, pk: int) -> HttpResponse:
        return connection.page(request, self._one(request, pk), self._context(request))

    def provision(self, request: HttpRequest, pk: int) -> HttpResponse:
        return provisioning.ask(request, self._one(request, pk), self._context(request))

    def _one(self, request: HttpRequest, pk: int) -> Vps:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return get_object_or_404(Vps, pk=pk)

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}

    # -------------------------------------------------------------------------------------------- rows
    def save_model(self, request: HttpRequest, obj: Vps, form: Any, change: bool) -> None:
        """A change writes the changed columns only: heartbeats write the others meanwhile."""
        secrets = form.seal(obj)
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            columns = set(form.changed_data) - {"password", "private_key"} | set(secrets)
            obj.save(update_fields=columns | ({"host_key"} if {"host", "ssh_port"} & columns else set()))
        verb = "change" if change else "create"
        audit.record(cast(User, request.user), verb, obj, request, fields=form.changed_data)

    def response_add(self, request: HttpRequest, obj: Vps, post_url_continue: str | None = None) -> HttpResponse:
        """What comes next for a new one is to test the connection."""
        if "_addanother" in request.POST or IS_POPUP_VAR in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return redirect("admin:fleet_vps_connection", obj.pk)

    def response_change(self, request: HttpRequest, obj: Vps) -> HttpResponse:
        if "_test" in request.POST:
            return redirect("admin:fleet_vps_connection", obj.pk)
        return super().response_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Vps | None = None) -> bool:
        """Only one that never carried a run (history names the others: those are removed on their own page) and is not
        being provisioned."""
        is_kept = obj is not None and (obj.state is VpsStatus.PROVISIONING or obj.runs.exists())
        return super().has_delete_permission(request, obj) and not is_kept

    def delete_model(self, request: HttpRequest, obj: Vps) -> None:
        verbs.remove(obj, cast(User, request.user), request)


@admin.register(ProvisionRun)
class ProvisionRunAdmin(ReadOnlyAdmin):
    list_display = ["asked", "vps", "kind", "state_pill", "took", "actor", "why"]
    list_display_links = ["asked"]
    list_select_related = ["vps", "actor"]
    list_filter = ["kind", "status", "vps"]
    search_fields = ["vps__name", "vps__host"]
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description=_("asked for"), ordering="requested_at")
    def asked(self, run: ProvisionRun) -> SafeString:
        return format_html('<time datetime="{}">{}</time>', run.requested_at.isoformat(), ago(run.requested_at))

    @admin.display(description=_("status"), ordering="status")
    def state_pill(self, run: ProvisionRun) -> SafeString | str:
        return pill(run.state)

    @admin.display(description=_("took"))
    def took(self, run: ProvisionRun) -> str:
        return clock((run.ended_at - run.started_at).total_seconds()) if run.ended_at and run.started_at else "–"

    @admin.display(description=_("why it failed"))
    def why(self, run: ProvisionRun) -> str:
        return run.reason or "–"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/fragments/", view(self.fragments), name="fleet_provisionrun_fragments"),
            path("<int:pk>/verb/<slug:verb>/", view(self.verb), name="fleet_provisionrun_verb"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, **(extra_context or {})}
        return provisioning.watch(request, self._one(request, object_id), context)

    def fragments(self, request: HttpRequest, pk: int) -> HttpResponse:
        return provisioning.fragments(self._one(request, pk))

    def verb(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        if not cast(User, request.user).has_perm("fleet.change_vps"):
            raise PermissionDenied
        return provisioning.verb(request, self._one(request, pk), verb)

    def _one(self, request: HttpRequest, pk: int | str) -> ProvisionRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not str(pk).isdecimal():
            raise Http404
        return get_object_or_404(ProvisionRun.objects.select_related("vps", "actor"), pk=pk)


admin.site.register(Enrolment, EnrolmentAdmin)
