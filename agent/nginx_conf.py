"""What the agent writes for nginx-rtmp: one application per destination that nginx pushes to. Pure.

A key with a `;` in such a file is a directive, and a directive can be a command (`exec_static`). So nothing is quoted
or escaped here: every value is of characters that mean themselves, or the destination is refused. Names are written as
addresses: nginx looks them up when it loads, and one that does not resolve would stop the reload for all.

One application for each destination, not one for the stream: nginx pushes what an application gets to all places of
it, so one publish could not be reconnected, re-keyed or removed without the others. `stream_{id}` itself stays free.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

FILES: Final = re.compile(r"(stream_[0-9]+|ready)\.conf\Z")
READY: Final = "ready.conf"
DEFAULT_PORT: Final = 1935
LONGEST: Final = 512
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?\.?\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~:/?&=%@+,-]+\Z")
_URL: Final = re.compile(r"[A-Za-z0-9._~:/?&=%@+,\[\]-]+\Z")
"""Before it is taken apart, which drops some characters without a word."""
_APPLICATION: Final = """\
application {name} {{
    live on;
    record off;
    allow publish 127.0.0.1;
    deny publish all;
    allow play 127.0.0.1;
    deny play all;
    push rtmp://{server} app={app} playPath={key} tcUrl={url};
}}
"""
_READY: Final = """\
application {name} {{
    live off;
    deny publish all;
    deny play all;
}}
"""


class Unfit(ValueError):
    """nginx cannot be told to push there; the text says why, without the address or the key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a destination is. `url` is what the server is told it is called by, with its name."""

    url: str
    host: str
    port: int
    app: str
    key: str = field(repr=False)


def place(url: str, key: str) -> Place:
    """Raises Unfit."""
    if not key:
        raise Unfit("it has no stream key")
    if len(key) > LONGEST or len(url) > LONGEST:
        raise Unfit("its address or key is too long for nginx")
    if not _PLAIN.match(key):
        raise Unfit("its key has characters that nginx cannot be given: choose another way to push")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError as error:
        raise Unfit("its address is not a URL") from error
    if parts.scheme == "rtmps":
        raise Unfit("nginx cannot push to rtmps://: choose another way to push")
    if parts.scheme != "rtmp" or not host:
        raise Unfit("its address is not rtmp:// with the name of a server")
    app = parts.path.strip("/") + (f"?{parts.query}" if parts.query else "")
    if not _URL.match(url) or not _is_host(host) or "@" in parts.netloc or not _PLAIN.match(app):
        raise Unfit("its address has characters that nginx cannot be given: choose another way to push")
    called = _bracketed(host) if port == DEFAULT_PORT else server(host, port)
    return Place(f"rtmp://{called}/{app}", host, port, app, key)


def application_name(stream_id: int, destination_id: int) -> str:
    return f"stream_{stream_id:d}_{destination_id:d}"


def application(stream_id: int, destination_id: int, where: Place, address: str) -> str:
    """Raises Unfit when the address is none."""
    if not _is_address(address):
        raise Unfit("its name does not lead to an address")
    return _APPLICATION.format(
        name=application_name(stream_id, destination_id),
        server=server(address, where.port),
        app=where.app,
        key=where.key,
        url=where.url,
    )


def addresses(text: str) -> list[str]:
    """Those that a stream's file pushes to."""
    return [found.strip("[]") for found in re.findall(r"push rtmp://(\S+):[0-9]+ ", text)]


def file_name(stream_id: int) -> str:
    return f"stream_{stream_id:d}.conf"


def ready_name(files: Mapping[str, str]) -> str:
    """An application that only an nginx with exactly these files has: asking for it tells whether they are loaded."""
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0{files[name]}\0".encode())
    return f"ready_{digest.hexdigest()[:16]}"


def ready_file(files: Mapping[str, str]) -> str:
    return _READY.format(name=ready_name(files))


def local_key(url: str, key: str) -> str:
    """What the playout publishes under: another one when the destination is another, so that it connects anew."""
    return hashlib.sha256(f"{url}\0{key}".encode()).hexdigest()[:12]


def server(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port:d}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_host(host: str) -> bool:
    return bool(_HOST.match(host)) or _is_address(host)


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False
