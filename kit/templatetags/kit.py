"""Template tags every page may use (a builtin: no {% load %})."""

from __future__ import annotations

from datetime import datetime, timedelta

from django import forms, template
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from kit import redis_state

register = template.Library()

_CODECS = {"h264": "H.264"}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_TONES = {"success": "live", "error": "danger", "warning": "warning", "info": "info", "debug": "neutral"}
_TONE_ICONS = {
    "live": "check-circle",
    "danger": "exclamation-circle",
    "warning": "exclamation-triangle",
    "info": "info-circle",
    "neutral": "info-circle",
}


@register.filter
def clock(seconds: float | None) -> str:
    """A length of time as people write it: 1:05, 2:03:04."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@register.filter
def filesize(size: float | None) -> str:
    """Bytes in binary units with three significant digits: 0 B, 1.5 KiB, 50 GiB."""
    if size is None:
        return "–"
    amount, unit = float(size), 0
    while round(amount) >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    places = 0 if unit == 0 or amount >= 100 or amount == int(amount) else 1 if amount >= 10 else 2
    number = number_format(round(amount, places), places)
    if places:
        number = number.rstrip("0").rstrip(".,")
    return f"{number} {_UNITS[unit]}"


@register.filter
def gigabytes(size: float) -> str:
    """Bytes as providers of traffic count them: 850 GB, 1.2 TB."""
    gb = size / 10**9
    number, unit = (gb / 1000, "TB") if gb >= 1000 else (gb, "GB")
    places = 0 if number >= 100 or number == int(number) else 1 if number >= 1 else 2
    return f"{number_format(round(number, places), places)}\N{NO-BREAK SPACE}{unit}"


@register.filter
def codec(name: str) -> str:
    """A codec as people write it: H.264, HEVC, AAC."""
    return _CODECS.get(name, name.upper())


@register.filter
def hours(seconds: float | None) -> str:
    """A length of time in hours, for sums: 167.5 h."""
    return "–" if seconds is None else f"{number_format(seconds / 3600, 1)}\N{NO-BREAK SPACE}h"


@register.filter
def percent(part: float, whole: float) -> int:
    """Whole percent, never outside 0 to 100, and 100 only when all of it is there."""
    if whole <= 0:
        return 100 if part > 0 else 0
    return max(0, min(100, int(part * 100 / whole)))


@register.filter
def usage_tone(part: float, whole: float) -> str:
    """The tone of a quota: fine, nearly used, used up."""
    share = percent(part, whole)
    return "danger" if share >= 100 else "warning" if share >= 85 else ""


@register.filter
def plain(number: float) -> str:
    """A number for a machine: 1234.5 in every language."""
    return str(number)


@register.filter
def ago(moment: datetime | None) -> str:
    """How long since, in one unit: just now, 5 minutes ago."""
    return "–" if moment is None else since(timezone.now() - moment)


def since(passed: timedelta) -> str:
    seconds = int(passed.total_seconds())
    if seconds < 45:
        return gettext("just now")
    if seconds < 90 * 60:
        minutes = max(1, round(seconds / 60))
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", minutes) % {"n": minutes}
    if seconds < 36 * 3600:
        hours = round(seconds / 3600)
        return ngettext("%(n)d hour ago", "%(n)d hours ago", hours) % {"n": hours}
    days = round(seconds / 86400)
    return ngettext("%(n)d day ago", "%(n)d days ago", days) % {"n": days}


@register.filter
def tone(level_tag: str) -> str:
    """The design system's tone of a Django message."""
    return _TONES.get(level_tag, "info")


@register.filter
def tone_icon(tone_name: str) -> str:
    return _TONE_ICONS.get(tone_name, "info-circle")


@register.simple_tag
def redis_is_away() -> bool:
    return redis_state.is_away()


@register.filter
def control(field: forms.BoundField) -> SafeString:
    """The field's widget in our look, tied to its help and errors for screen readers."""
    attrs: dict[str, str | bool] = {"class": _css_class(field)}
    if field.help_text or field.errors:
        attrs["aria-describedby"] = f"{field.auto_id}_notes"
    if field.errors:
        attrs["aria-invalid"] = "true"
    return field.as_widget(attrs=attrs)


def _css_class(field: forms.BoundField) -> str:
    widget = field.field.widget
    own = str(widget.attrs.get("class", ""))
    look = {"checkbox": "form-check-input", "select": "form-select"}.get(field.widget_type, "form-control")
    return f"{look} {own}".strip()
