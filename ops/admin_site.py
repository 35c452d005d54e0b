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
        from ops import incidents  # the site exists before the models do

        return [
            path("incidents/", self.admin_view(incidents.page), name="incidents"),
            path("incidents.csv", self.admin_view(incidents.table), name="incidents_csv"),
            *super().get_urls(),
        ]

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = super().get_app_list(request, app_label)
        for app in apps:
            app["name"] = _NAMES.get(app["app_label"], app["name"])
        return apps

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from ops import home  # the site exists before the models do

        return super().index(request, {**home.look(timezone.now()), **(extra_context or {})})
