"""Addresses of servers."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def with_options(url: str, options: Mapping[str, object]) -> str:
    """The URL with what its client should know in the query: for a client that takes nothing but a URL."""
    if not options:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"
