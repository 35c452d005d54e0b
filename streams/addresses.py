"""What may stand in an address, a key or a name that users type, in words (DST-1, SEC-2, SEC-3)."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from kit.safe_url import is_private_literal
from streams.models import Via

LONGEST_KEY: Final = 500
LONGEST_URL: Final = 500
LIVE_SCHEMES: Final = ("rtmp", "rtmps", "http", "https")
_LONGEST_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_NEVER: Final = re.compile(r"[\s\"'`{};\\<>|\x00-\x1f\x7f]")
_NEVER_IN_NGINX: Final = re.compile(r"[$#]")
"""Besides `_NEVER`: what nginx would take for a variable or a comment."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def url_problem(url: str) -> str | None:
    """Why this is no place to push to, in words; None when it is one."""
    if _NEVER.search(url) or not url.isascii():
        return _("An RTMP address has no spaces, quotes or other special characters.")
    if len(url) > LONGEST_URL:
        return _("The address is too long.")
    parts = _split(url)
    if parts is None:
        return _("This is not an address.")
    if parts.scheme not in ("rtmp", "rtmps"):
        return _("The address must start with rtmp:// or rtmps://.")
    if problem := _place_problem(parts):
        return problem
    if not parts.path.strip("/"):
        return _("The address names no application, as /live2 in rtmps://a.rtmps.youtube.com:443/live2.")
    return _private_problem(parts)


def live_url_problem(url: str) -> str | None:
    """Why nothing live can be read from here, in words; None when it can be tried."""
    if not url:
        return _("Type the input's address: rtmp://…, rtmps://… or https://….")
    if _NEVER.search(url) or not url.isascii():
        return _("The address has spaces, quotes or other special characters. Write them as %20 and the like.")
    if len(url) > LONGEST_URL:
        return _("The address is too long.")
    parts = _split(url)
    if parts is None:
        return _("This is not an address.")
    if parts.scheme not in LIVE_SCHEMES:
        return _("The address must start with rtmp://, rtmps://, http:// or https://.")
    if problem := _place_problem(parts):
        return problem
    if not parts.path.strip("/"):
        return _("The address names only a server: what to play there is missing.")
    return _private_problem(parts)


def key_problem(key: str) -> str | None:
    if not key:
        return _("The stream key is required.")
    if len(key) > LONGEST_KEY:
        return _("A stream key has at most %(most)d characters.") % {"most": LONGEST_KEY}
    if _NEVER.search(key) or not key.isascii():
        return _("A stream key has no spaces, quotes or other special characters.")
    return None


def via_problem(via: str, url: str, key: str) -> str | None:
    """Why this cannot be pushed that way, in words."""
    if via not in Via.values:
        return _("Choose how it is pushed.")
    if via != Via.NGINX:
        return None
    if url.strip().lower().startswith("rtmps:"):
        return _("nginx cannot encrypt. Take an rtmp:// address, or another way to push.")
    if _NEVER_IN_NGINX.search(url + key):
        return _("nginx takes no address or key with «$» or «#». Take another way to push.")
    return None


def name_problem(name: str, longest: int) -> str | None:
    if not name:
        return _("A name is required.")
    if len(name) > longest:
        return _("A name has at most %(most)d characters.") % {"most": longest}
    return _("A name has no control characters.") if has_control(name) else None


def has_control(text: str) -> bool:
    return _CONTROL.search(text) is not None


def place_of(url: str, key: str) -> tuple[str, str]:
    """Where bytes go: equal for two that would tear each other's connection down."""
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path.rstrip('/')}", key


def shown(url: str) -> str:
    """What may be shown of an address that may hold a secret: how, and which server."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}/…"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None
    except ValueError:
        return None


def _place_problem(parts: SplitResult) -> str | None:
    if not parts.hostname:
        return _("The address names no server.")
    if parts.username is not None or parts.password is not None:
        return _("Leave name and password out of the address.")
    if ":" not in parts.hostname and not _is_name(parts.hostname):
        return _("«%(host)s» cannot be the name of a server.") % {"host": parts.hostname}
    if parts.fragment or {".", ".."} & set(parts.path.split("/")):
        return _("An address has no «#», «/./» or «/../».")
    return None


def _private_problem(parts: SplitResult) -> str | None:
    if is_private_literal(parts.hostname or "") and not settings.ALLOW_PRIVATE_DESTINATIONS:
        return _("This address is inside a private network. Use one that is reachable from the internet.")
    return None


def _is_name(host: str) -> bool:
    """What the domain name system could hold, or an IPv4 address."""
    return len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))
