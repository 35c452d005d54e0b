"""The operators' console: Django's admin with a home page of its own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class OperatorsSite(admin.AdminSite):
    site_header = "EZStream"
    site_title = "EZStream"
    index_title = _("Operators")
    index_template = "admin/home.html"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from ops import home  # the site exists before the models do

        return super().index(request, {**home.look(timezone.now()), **(extra_context or {})})
