"""Operators' pages of schedules and their windows. Looked at here, changed on the stream's own page.

`streams.admin` brings them in."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from kit.console import ReadOnlyAdmin, pill
from streams.models import Occurrence, Schedule


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ["stream", "owner", "is_on", "zone", "look_at"]
    list_select_related = ["stream__owner"]
    list_filter = ["is_on"]
    search_fields = ["stream__title", "stream__owner__email"]
    show_facets = admin.ShowFacets.NEVER
    fields = ("stream", "page", "is_on", "zone", "rules", "look_at", "updated_at")
    readonly_fields = fields

    @admin.display(description=_("owner"), ordering="stream__owner__email")
    def owner(self, row: Schedule) -> str:
        return str(row.stream.owner)

    @admin.display(description=_("page"))
    def page(self, row: Schedule) -> SafeString:
        url = reverse("streams:schedule", args=[row.stream_id])
        return format_html('<a href="{}">{}</a>', url, _("Look at it, change it"))


@admin.register(Occurrence)
class OccurrenceAdmin(ReadOnlyAdmin):
    list_display = ["starts_at", "ends_at", "stream", "came", "note"]
    list_select_related = ["stream"]
    list_filter = ["state", "starts_at"]
    search_fields = ["stream__title", "stream__owner__email"]
    show_facets = admin.ShowFacets.NEVER

    @admin.display(description=_("what came of it"), ordering="state")
    def came(self, row: Occurrence) -> SafeString | str:
        return pill(row.what_came)
