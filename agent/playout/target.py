"""Where a destination is: its URL taken apart, its key kept out of sight. Pure."""

import ipaddress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

PORTS: Final = {"rtmp": 1935, "rtmps": 443}
HIDDEN: Final = "•••"


class TargetError(ValueError):
    """The URL is not one to publish to; the text says why."""


class Secret(str):
    """A string that shows itself only to who asks for it by `reveal()`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"«{HIDDEN}»"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def reveal(self) -> str:
        return str.__getitem__(self, slice(None))

    def hide_in(self, text: str) -> str:
        """`text` without the key, and without the part of it before its query."""
        key = self.reveal()
        for piece in (key, key.partition("?")[0]):
            if piece:
                text = text.replace(piece, HIDDEN)
        return text


@dataclass(frozen=True, slots=True)
class Target:
    """`url` is without the key: the `tcUrl` of the connect command."""

    url: str
    host: str
    port: int
    app: str
    tls: bool
    key: Secret = field(repr=False)

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_public(address: str) -> bool:
    """False for loopback, link-local, private and multicast addresses, also when mapped into IPv6, and for none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = getattr(parsed, "ipv4_mapped", None) or parsed
    return inner.is_global and not inner.is_multicast


def parse_target(url: str, key: str) -> Target:
    """Raises TargetError."""
    if any(char <= " " or char == "\x7f" for char in url + key):
        raise TargetError("the URL or the key holds a space or a control character")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetError("the URL cannot be read") from error
    if parts.scheme not in PORTS:
        raise TargetError("the URL must begin with rtmp:// or rtmps://")
    app = parts.path.strip("/") + (f"?{parts.query}" if parts.query else "")
    if not parts.hostname or not app:
        raise TargetError("the URL lacks the host or the application")
    if not key:
        raise TargetError("the stream key is empty")
    tls = parts.scheme == "rtmps"
    return Target(url.rstrip("/"), parts.hostname, port or PORTS[parts.scheme], app, tls, Secret(key))
