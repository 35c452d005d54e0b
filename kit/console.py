"""What the operators' pages share."""

from __future__ import annotations

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
