"""Which time zone somebody's times are shown in."""

from __future__ import annotations

import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final
from urllib.parse import unquote

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

COOKIE: Final = "time_zone"
"""Set by static/js/page.js to what the browser says, percent-encoded."""

_RENAMED: Final = {
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis",
    "America/Louisville": "America/Kentucky/Louisville",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Asia/Saigon": "Asia/Ho_Chi_Minh",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Europe/Kiev": "Europe/Kyiv",
}
"""Chromium still says the old names of these places; people look for the new ones."""

Choices = list[tuple[str | Promise, Iterable[tuple[str, str | Promise]] | str | Promise]]


@cache
def names() -> frozenset[str]:
    """The zones people choose from: places, and UTC."""
    places = {name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/")}
    return frozenset(places - _RENAMED.keys() | {"UTC"})


def known(name: str) -> str:
    """Today's name of the zone when it is one people choose from, else nothing."""
    today = _RENAMED.get(name, name)
    return today if today in names() else ""


def of_browser(cookies: Mapping[str, str]) -> str:
    return known(unquote(cookies.get(COOKIE, "")))


def zone_for(viewer: object, cookies: Mapping[str, str]) -> zoneinfo.ZoneInfo:
    """The account's zone, else the browser's, else UTC: by a page and by its socket alike."""
    return zone(getattr(viewer, "time_zone", "") or of_browser(cookies))


def zone(name: str) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(known(name) or "UTC")


def choices() -> Choices:
    """All zones grouped by their part of the world, for a select."""
    groups: dict[str, list[tuple[str, str | Promise]]] = defaultdict(list)
    for name in sorted(names() - {"UTC"}):
        groups[name.partition("/")[0]].append((name, name.replace("_", " ")))
    return [("", _("As the browser says")), ("UTC", "UTC"), *groups.items()]
