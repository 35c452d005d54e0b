"""Operators' pages for periodic jobs and the processes of the control plane."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from kit.console import ReadOnlyAdmin, verdict
from kit.templatetags.kit import ago
from ops.models import Job, Process
from ops.processes import FRESH


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["name", "next_run_at", "last_started_at", "last_duration_s", "last_succeeded", "last_result"]
    search_fields = ["name"]


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    list_display = ["kind", "instance", "alive", "seen"]
    list_filter = ["kind"]

    @admin.display(description=_("alive"))
    def alive(self, process: Process) -> SafeString:
        return verdict(timezone.now() - process.seen_at <= FRESH, str(_("alive")), str(_("silent")))

    @admin.display(description=_("last seen"), ordering="seen_at")
    def seen(self, process: Process) -> str:
        return ago(process.seen_at)
