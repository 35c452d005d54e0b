"""Where a live input is, how FFmpeg is told without its argument list, and what of it must not be seen. Pure."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from .target import HIDDEN, Secret

PORTS: Final = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
LONGEST_URL: Final = 2048
NETWORK_LIMIT_S: Final = 10
_PROTOCOLS: Final = {
    "http": "http,https,tls,tcp,crypto,httpproxy",
    "https": "https,tls,tcp,crypto,httpproxy",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp,httpproxy",
}
_ENCRYPTED: Final = ("https", "rtmps")
_ANY_URL: Final = re.compile(r"\b([a-z][a-z0-9+]*)://[^\s'\"]+")
_PIECES: Final = re.compile(r"[/?&=:@#;,]+")
_SHORTEST_SECRET: Final = 4


class InputError(Exception):
    """The live input cannot be read; the text says why, in plain words and without its address."""


@dataclass(frozen=True, slots=True)
class Address:
    """`url` in the clear leaves this object only by `script`."""

    scheme: str
    host: str
    port: int
    url: Secret

    @property
    def on_http(self) -> bool:
        return self.scheme in ("http", "https")

    @property
    def pinned(self) -> bool:
        """FFmpeg must be given the checked network address: this protocol goes through no proxy."""
        return self.scheme == "rtmp"

    def script(self, connect_to: str | None, ca_file: str | None) -> bytes:
        """What FFmpeg's concat demuxer reads on its standard input. `connect_to`: the network address to use."""
        url = self.url.reveal()
        options = {
            "protocol_whitelist": _PROTOCOLS[self.scheme],
            "rw_timeout": str(NETWORK_LIMIT_S * 1_000_000),
            "analyzeduration": "2000000",
        }
        if self.scheme in _ENCRYPTED:
            options["tls_verify"] = "1"
        if self.scheme in _ENCRYPTED and ca_file:
            options["ca_file"] = ca_file
        if connect_to is not None:
            options["rtmp_tcurl"] = _tc_url(url)
            url = _elsewhere(url, connect_to)
        lines = [f"file {_quoted(url)}", *(f"option {name} {_quoted(value)}" for name, value in options.items())]
        return "\n".join(["ffconcat version 1.0", *lines, ""]).encode()

    def hide_in(self, text: str) -> str:
        """`text` with no URL and no piece of this one in it."""
        text = _ANY_URL.sub(rf"\1://{HIDDEN}", self.url.hide_in(text))
        _, _, behind = self.url.reveal().partition("://")
        user, at, _ = behind.partition("/")[0].rpartition("@")
        secret = _PIECES.split(behind.partition("/")[2]) + (_PIECES.split(user) if at else [])
        for piece in sorted({*secret, *map(unquote, secret)}, key=len, reverse=True):
            if len(piece) >= _SHORTEST_SECRET:
                text = text.replace(piece, HIDDEN)
        return text


def parse_address(url: Secret) -> Address:
    """Raises InputError."""
    clear = url.reveal()
    if len(clear) > LONGEST_URL:
        raise InputError("the live input's address is too long")
    if any(char <= " " or char == "\x7f" for char in clear):
        raise InputError("the live input's address holds a space or a control character")
    try:
        parts = urlsplit(clear)
        port = parts.port
    except ValueError as error:
        raise InputError("the live input's address cannot be read") from error
    if parts.scheme not in PORTS or not clear.startswith(f"{parts.scheme}://"):
        raise InputError("a live input begins with http://, https://, rtmp:// or rtmps://")
    if not parts.hostname:
        raise InputError("the live input's address lacks the host")
    return Address(parts.scheme, parts.hostname, port or PORTS[parts.scheme], url)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", r"'\''") + "'"


def _tc_url(url: str) -> str:
    """What FFmpeg's own client would say in `tcUrl`: host and application, which is all up to the second slash."""
    scheme, _, behind = url.partition("://")
    place, _, path = behind.partition("/")
    parts = path.split("/")
    return f"{scheme}://{place.rpartition('@')[2]}/" + "/".join(parts[: 2 if len(parts) > 2 else 1])


def _elsewhere(url: str, address: str) -> str:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    host = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=f"{user}{at}{host}:{parts.port or PORTS[parts.scheme]}").geturl()
