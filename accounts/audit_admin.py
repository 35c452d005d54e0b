"""The audit log as operators search it (ACC-6): who did what to which object, when and from where; and as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any, Final

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditEntry, done_words
from kit.console import ReadOnlyAdmin
from kit.spreadsheet import harmless

IN_CSV: Final = 20_000
HEAD: Final = ("at", "who", "did", "to_a", "id", "named", "from", "details")
TARGETS: Final = (
    "accounts.user", "accounts.package", "media_library.videofile", "streams.stream", "streams.destination",
    "streams.liveinput", "fleet.vps",
)  # fmt: skip


class When(admin.DateFieldListFilter):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = _("time")


class ByWhom(admin.SimpleListFilter):
    title = _("who did it")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("operators", _("operators")), ("users", _("users")), ("ezstream", _("EZStream itself"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        match self.value():
            case "operators":
                return queryset.filter(actor__is_staff=True)
            case "users":
                return queryset.filter(actor__is_staff=False)
            case "ezstream":
                return queryset.filter(actor=None, actor_email="")
        return queryset


class Verb(admin.SimpleListFilter):
    """From what is known to be written, not from the rows: there are millions of them."""

    title = _("what was done")
    parameter_name = "verb"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return done_words()

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(verb=self.value()) if self.value() else queryset


class Target(admin.SimpleListFilter):
    title = _("what it was done to")
    parameter_name = "target_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(label, str(apps.get_model(label)._meta.verbose_name)) for label in TARGETS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        return queryset.filter(target_type=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "who", "did", "target", "address", "more"]
    list_filter = [("at", When), ByWhom, Target, Verb]
    search_fields = ["actor_email", "target_name", "=target_id", "address"]
    search_help_text = _("E-mail of who did it, name or number of what it was done to, address it came from.")
    date_hierarchy = "at"
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/accounts/auditentry/change_list.html"
    fields = ("at", "who", "did", "target", "target_type", "target_id", "address", "more")
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        table = self.admin_site.admin_view(self.table)
        return [path("csv/", table, name="accounts_auditentry_csv"), *super().get_urls()]

    @admin.display(description=_("who"), ordering="actor_email")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor_email or str(_("EZStream itself"))

    @admin.display(description=_("did"), ordering="verb")
    def did(self, entry: AuditEntry) -> str:
        return entry.done

    @admin.display(description=_("to"), ordering="target_name")
    def target(self, entry: AuditEntry) -> SafeString | str:
        """A link where there is a page of such things; the thing itself may be gone."""
        name = entry.target_name or entry.target_id
        app, _dot, model = entry.target_type.partition(".")
        try:
            address = reverse(f"admin:{app}_{model}_change", args=[entry.target_id])
        except NoReverseMatch:
            return name
        return format_html('<a href="{}">{}</a>', address, name)

    @admin.display(description=_("details"))
    def more(self, entry: AuditEntry) -> str:
        return told(entry.details)

    def table(self, request: HttpRequest) -> HttpResponse:
        """What the list shows with these filters and this search, the newest 20,000."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        entries = self.get_changelist_instance(request).get_queryset(request).select_related(None)
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"'}
        return HttpResponse(as_csv(entries[:IN_CSV]), content_type="text/csv; charset=utf-8", headers=headers)


def told(details: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {_flat(value)}" for name, value in details.items()) or "–"


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_csv(entries: Iterable[AuditEntry]) -> str:
    out = StringIO()
    table = csv.writer(out)
    table.writerow(HEAD)
    for entry in entries:
        details = json.dumps(entry.details, ensure_ascii=False) if entry.details else ""
        what = (entry.verb, entry.target_type, entry.target_id, entry.target_name)
        cells = (entry.at.isoformat(timespec="seconds"), entry.actor_email, *what, entry.address or "", details)
        table.writerow([harmless(cell) for cell in cells])
    return out.getvalue()
