"""Addresses of servers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit


def with_options(url: str, options: Mapping[str, object]) -> str:
    """The URL with what its client should know in the query: for a client that takes nothing but a URL."""
    if not options:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(options)}"


def is_on_this_machine(url: str) -> bool:
    """True for a unix socket and for loopback: nobody outside reaches it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "unix" or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
