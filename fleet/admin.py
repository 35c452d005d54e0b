"""Operators' pages for the fleet."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import User
from fleet import actions as verbs
from fleet.models import Vps, VpsStatus
from kit.console import NoBulkDelete, pill, verdict
from kit.templatetags.kit import ago

_AGENT = ["agent_version", "agent_protocol"]


@admin.register(Vps)
class VpsAdmin(NoBulkDelete, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "state", "reachable", "streams", "load", "network", "heard", "health", "agent_version"]
    list_filter = ["status", "region", "supports_multistream"]
    search_fields = ["name", "host", "region"]
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 100
    actions = ["activate", "drain", "deactivate"]
    readonly_fields = [
        "reachable", "health", "streams", "runs_held", "load", "busy", "network", "heard", "clock_offset_s",
        "agent_version", "agent_protocol", "last_health_check_at", "status_message", "created_at",
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["name", "host", "region", "status", "status_message"]}),
        (_("Now"), {"fields": ["reachable", "streams", "runs_held", "load", "network", "heard"]}),
        (_("Health"), {"fields": ["health", "last_health_check_at", "busy", "clock_offset_s", *_AGENT]}),
        (_("Limits"), {"fields": ["max_streams", "supports_multistream", "uplink_mbit", "traffic_gb", "price"]}),
        (_("SSH"), {"fields": ["ssh_user", "ssh_port", "host_key"]}),
        (_("Dates"), {"fields": ["created_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Vps]:
        return Vps.objects.with_current_streams()

    @admin.display(description=_("status"), ordering="status")
    def state(self, vps: Vps) -> SafeString | str:
        return pill(vps.state)

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
        self._set(request, chosen, VpsStatus.ACTIVE)

    @admin.action(description=_("Drain: no new streams, those on it stay"), permissions=["change"])
    def drain(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, VpsStatus.DRAINING)

    @admin.action(description=_("Switch off: no new streams"), permissions=["change"])
    def deactivate(self, request: HttpRequest, chosen: models.QuerySet[Vps]) -> None:
        self._set(request, chosen, VpsStatus.INACTIVE)

    def _set(self, request: HttpRequest, chosen: models.QuerySet[Vps], status: VpsStatus) -> None:
        operator = cast(User, request.user)
        changed = sum(verbs.set_status(vps, status, operator, request) for vps in chosen)
        self.message_user(request, _("%(n)d VPSes changed.") % {"n": changed}, messages.SUCCESS)

    def save_model(self, request: HttpRequest, obj: Vps, form: Any, change: bool) -> None:
        """A change writes the changed columns only: heartbeats write the others meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
        elif form.changed_data:
            obj.save(update_fields=form.changed_data)
        verb = "change" if change else "create"
        audit.record(cast(User, request.user), verb, obj, request, fields=form.changed_data)

    def has_delete_permission(self, request: HttpRequest, obj: Vps | None = None) -> bool:
        """Only one that never carried a run: history names the others. Those are removed on their own page."""
        return super().has_delete_permission(request, obj) and not (obj and obj.runs.exists())

    def delete_model(self, request: HttpRequest, obj: Vps) -> None:
        verbs.remove(obj, cast(User, request.user), request)
