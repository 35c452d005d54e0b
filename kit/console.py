"""What the operators' pages share."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from kit.choices import TonedChoices


def pill(state: TonedChoices | None) -> SafeString | str:
    """A state in its tone, as on the users' pages."""
    if state is None:
        return "–"
    return format_html('<span class="pill pill-{}">{}</span>', state.tone, state.label)


def verdict(is_well: bool, well: str, ill: str) -> SafeString:
    """Yes or no in words and colour."""
    return format_html('<span class="pill pill-{}">{}</span>', *(("live", well) if is_well else ("danger", ill)))


class NoBulkDelete:
    """One at a time: deletion in bulk would not ask `has_delete_permission` for each."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)  # type: ignore[misc]
        actions.pop("delete_selected", None)
        return actions


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are history: looked at and searched, never touched."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
