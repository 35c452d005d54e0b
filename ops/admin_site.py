"""The operators' console: Django's admin with a home page of its own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

_NAMES = {"django_dramatiq": _("Background jobs")}
"""Apps that are not ours, called what they do."""


class OperatorsSite(admin.AdminSite):
    site_header = "EZStream"
    site_title = "EZStream"
    index_title = _("Operators")
    index_template = "admin/home.html"
    enable_nav_sidebar = False  # the tables need the width; the way around stands in the header

    def get_urls(self) -> list[Any]:
        from ops import fleet_page, incidents, rollout_page, vps_page, vps_views  # the site exists before the models do

        return [
            path("incidents/", self.admin_view(incidents.page), name="incidents"),
            path("incidents.csv", self.admin_view(incidents.table), name="incidents_csv"),
            path("fleet/", self.admin_view(fleet_page.page), name="fleet"),
            path("fleet/upgrade/", self.admin_view(rollout_page.ask), name="fleet_upgrade"),
            path("fleet/upgrades/<int:pk>/", self.admin_view(rollout_page.page), name="rollout"),
            path("fleet/upgrades/<int:pk>/cancel/", self.admin_view(rollout_page.cancel), name="rollout_cancel"),
            path("fleet/servers/<int:pk>/", self.admin_view(vps_page.page), name="vps"),
            path("fleet/servers/<int:pk>/load.json", self.admin_view(vps_page.load), name="vps_load"),
            path("fleet/servers/<int:pk>/ask/<slug:what>/", self.admin_view(vps_views.ask), name="vps_ask"),
            path("fleet/servers/<int:pk>/do/<slug:verb>/", self.admin_view(vps_views.verb), name="vps_verb"),
            path("fleet/servers/<int:pk>/start/", self.admin_view(vps_views.start_here), name="vps_start"),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            app["name"] = _NAMES.get(app["app_label"], app["name"])
        return apps

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from ops import home, live  # the site exists before the models do

        context = {**home.look(timezone.now()), **(extra_context or {})}
        if request.headers.get(live.HEADER):
            return TemplateResponse(request, "admin/home.html#live", context)
        return super().index(request, context)
