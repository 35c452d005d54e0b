"""The agent's settings, all from the environment: read once, checked at once, named when wrong."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

GIB: Final = 1024**3
DEFAULT_CACHE_BYTES: Final = 20 * GIB
EXIT_MODES: Final = ("handover", "stop")

T = TypeVar("T")


class ConfigError(ValueError):
    """A variable is missing or unusable; the text names it and never repeats its value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    redis_url: str = field(repr=False)
    vps_id: int
    work_dir: Path
    trusted_hosts: frozenset[str]
    """`host` or `host:port`: where files may be fetched from."""
    plain_http_hosts: frozenset[str] = frozenset()
    """Those of them that may be spoken to without TLS."""
    cache_bytes: int = DEFAULT_CACHE_BYTES
    ffmpeg: str = "ffmpeg"
    max_streams: int | None = None
    ca_file: Path | None = None
    """Certificates trusted for RTMPS besides the system's."""
    redis_ca_file: Path | None = None
    """Certificates trusted for a Redis with TLS besides the system's."""
    media_ca_file: Path | None = None
    """Certificates trusted at the control plane besides the system's."""
    reach_private: bool = False
    """Development only: loopback and private addresses are destinations and live inputs too."""
    nginx: str = "nginx"
    nginx_conf: Path | None = None
    """The main file of an nginx that this agent may reload (deploy/nginx-agent.conf.example); None: it has none."""
    nginx_rtmp_port: int = 1935
    """Where it listens on loopback."""
    on_exit: str = "handover"
    """`handover`: playouts stay on air for the next agent; `stop`: they end with this one."""

    @property
    def runs_dir(self) -> Path:
        return self.work_dir / "runs"

    @property
    def cache_dir(self) -> Path:
        return self.work_dir / "cache"


def from_environment(environ: Mapping[str, str]) -> Config:
    """Raises `ConfigError` naming the variable."""
    return Config(
        redis_url=_read(environ, "EZSTREAM_REDIS_URL", _redis_url),
        vps_id=_read(environ, "EZSTREAM_VPS_ID", _positive),
        work_dir=_read(environ, "EZSTREAM_WORK_DIR", _directory),
        trusted_hosts=_read(environ, "EZSTREAM_TRUSTED_HOSTS", _hosts),
        plain_http_hosts=_read(environ, "EZSTREAM_PLAIN_HTTP_HOSTS", _hosts, frozenset()),
        cache_bytes=_read(environ, "EZSTREAM_CACHE_BYTES", _positive, DEFAULT_CACHE_BYTES),
        ffmpeg=_read(environ, "EZSTREAM_FFMPEG", str, "ffmpeg"),
        max_streams=_read(environ, "EZSTREAM_MAX_STREAMS", _positive, None),
        ca_file=_read(environ, "EZSTREAM_CA_FILE", _certificates, None),
        redis_ca_file=_read(environ, "EZSTREAM_REDIS_CA_FILE", _certificates, None),
        media_ca_file=_read(environ, "EZSTREAM_MEDIA_CA_FILE", _certificates, None),
        reach_private=_read(environ, "EZSTREAM_ALLOW_PRIVATE_DESTINATIONS", _flag, False),
        nginx=_read(environ, "EZSTREAM_NGINX", str, "nginx"),
        nginx_conf=_read(environ, "EZSTREAM_NGINX_CONF", _directory, None),
        nginx_rtmp_port=_read(environ, "EZSTREAM_NGINX_RTMP_PORT", _port, 1935),
        on_exit=_read(environ, "EZSTREAM_ON_EXIT", _exit_mode, "handover"),
    )


def from_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines, as systemd reads them in an EnvironmentFile but for escapes. Raises `ConfigError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"{path} cannot be read ({reason})") from None
    pairs = (line.partition("=") for line in map(str.strip, lines) if line and not line.startswith(("#", ";")))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs}


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


class _Required:
    pass


_REQUIRED: Final = _Required()


def _read(environ: Mapping[str, str], name: str, parse: Callable[[str], T], default: T | _Required = _REQUIRED) -> T:
    raw = environ.get(name, "").strip()
    if not raw:
        if isinstance(default, _Required):
            raise ConfigError(f"{name} is not set")
        return default
    try:
        return parse(raw)
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from None


def _redis_url(raw: str) -> str:
    if not raw.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return raw


def _positive(raw: str) -> int:
    if not (raw.isascii() and raw.isdigit() and int(raw) > 0):
        raise ValueError("must be a whole number above 0")
    return int(raw)


def _port(raw: str) -> int:
    port = _positive(raw)
    if port > 65535:
        raise ValueError("must be a port")
    return port


def _flag(raw: str) -> bool:
    if raw not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return raw == "1"


def _directory(raw: str) -> Path:
    path = Path(raw)
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _certificates(raw: str) -> Path:
    path = _directory(raw)
    try:
        ssl.create_default_context(cafile=raw)
    except OSError as error:
        raise ValueError("must be a readable file of certificates (PEM)") from error
    return path


def _hosts(raw: str) -> frozenset[str]:
    hosts = frozenset(part.strip().lower() for part in raw.split(",") if part.strip())
    for host in hosts:
        if urlsplit(f"//{host}").netloc != host or "@" in host or "/" in host:
            raise ValueError("must be a comma list of host or host:port")
    return hosts


def _exit_mode(raw: str) -> str:
    if raw not in EXIT_MODES:
        raise ValueError("must be handover or stop")
    return raw
