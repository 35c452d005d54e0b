"""What a browser calls itself, in words somebody recognises."""

from __future__ import annotations

from typing import Final

# The first that matches wins: every browser claims to be several others.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_name(user_agent: str) -> str:
    """«Firefox, Linux»; the beginning of the header itself when it is none we know; «–» when there is none."""
    found = [_first(user_agent, _BROWSERS), _first(user_agent, _SYSTEMS)]
    return ", ".join(filter(None, found)) or user_agent[:40] or "–"


def _first(text: str, table: tuple[tuple[str, str], ...]) -> str:
    return next((name for mark, name in table if mark in text), "")
