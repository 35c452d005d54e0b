"""`python -m agent --self-test`: whether this server can do the work. One JSON object, and exit code 0 or 1.

`{"ok": bool, "version": str, "protocol": int, "checks": [{"name": str, "ok": bool, "message": str}]}`; no message
repeats a secret. An agent that runs meanwhile is not disturbed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import redis
from redis import exceptions

from agent import certificates, protocol, redis_client
from agent.config import GIB, Config
from agent.nginx_program import NginxError, Program
from agent.version import version

FFMPEG_SECONDS: Final = 20.0
REDIS_SECONDS: Final = 5.0
LEAST_FREE_GIB: Final = 1.0
MOST_OFF_SECONDS: Final = 30.0
"""As the control plane's health checks (fleet/health.py)."""
ENCODERS: Final = ("libx264", "aac")
_REFUSED: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.AuthenticationError, "Redis refuses the user or password in EZSTREAM_REDIS_URL"),
    (exceptions.NoPermissionError, "this Redis user may not listen to the commands of this VPS"),
    (exceptions.TimeoutError, "Redis does not answer"),
    (exceptions.ConnectionError, "Redis cannot be reached"),
)


class FaultError(Exception):
    """A check that failed, in plain words."""


def run(config: Config) -> dict[str, Any]:
    found = [_outcome(name, check, config) for name, check in CHECKS.items()]
    return {
        "ok": all(each["ok"] for each in found),
        "version": version(),
        "protocol": protocol.PROTOCOL_VERSION,
        "checks": found,
    }


def _outcome(name: str, check: Callable[[Config], str], config: Config) -> dict[str, Any]:
    try:
        return {"name": name, "ok": True, "message": check(config)}
    except FaultError as fault:
        return {"name": name, "ok": False, "message": str(fault)}


def _python(_config: Config) -> str:
    return f"Python {platform.python_version()}"


def _certificates(_config: Config) -> str:
    path = certificates.where()
    if not os.access(path, os.R_OK):
        raise FaultError(f"{path} cannot be read: install ca-certificates")
    return path


def _ffmpeg(config: Config) -> str:
    said = _said_by(config.ffmpeg, "-hide_banner", "-encoders")
    lacking = [name for name in ENCODERS if not re.search(rf"^ \S+ {name} ", said, re.MULTILINE)]
    if lacking:
        raise FaultError(f"FFmpeg cannot encode with {' and '.join(lacking)}")
    return _said_by(config.ffmpeg, "-version").partition(" Copyright")[0]


def _said_by(program: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=FFMPEG_SECONDS
        )
    except OSError as error:
        raise FaultError(f"{program} cannot be run ({error.strerror})") from error
    except subprocess.TimeoutExpired:
        raise FaultError(f"{program} does not end") from None
    if done.returncode:
        raise FaultError(f"{program} fails with {done.returncode}")
    return done.stdout.decode(errors="replace")


def _disk(config: Config) -> str:
    place = config.work_dir if config.work_dir.exists() else config.work_dir.parent
    try:
        if place == config.work_dir:
            with tempfile.TemporaryFile(dir=place) as file:
                file.write(b"room")
        free = shutil.disk_usage(place).free / GIB
    except OSError as error:
        raise FaultError(f"nothing can be written in {place} ({error.strerror})") from error
    if free < LEAST_FREE_GIB:
        raise FaultError(f"{free:.1f} GiB free at {place}")
    return f"{free:.1f} GiB free"


def _redis(config: Config) -> str:
    try:
        with _client(config) as client, client.pubsub() as pubsub:
            pubsub.subscribe(protocol.commands_channel(config.vps_id))
            if pubsub.get_message(timeout=REDIS_SECONDS) is None:
                raise FaultError("Redis does not answer")
    except (exceptions.RedisError, OSError) as error:
        raise FaultError(_words(error)) from error
    return "listens to the commands of this VPS"


def _client(config: Config) -> redis.Redis:
    """It asks for what the agent's own does, but neither waits long nor tries twice."""
    limits = {} if config.redis_url.startswith("unix:") else {"socket_connect_timeout": REDIS_SECONDS}
    options = redis_client.options(config.redis_url, config.vps_id, config.redis_ca_file)
    return redis.Redis.from_url(config.redis_url, socket_timeout=REDIS_SECONDS, retry=None, **limits, **options)


def _words(error: Exception) -> str:
    """redis-py's own texts name the host; what they quote of the answer could be anything."""
    words = next((words for kind, words in _REFUSED if isinstance(error, kind)), f"Redis: {type(error).__name__}")
    return f"{words} ({cause})" if (cause := _cause(error)) else words


def _cause(error: BaseException | None) -> str:
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, exceptions.RedisError):
            return str(getattr(error, "verify_message", "") or error.strerror or "")
        error = error.__cause__ or error.__context__
    return ""


def _clock(config: Config) -> str:
    """Against Redis where this user may ask it for the time, which it need not."""
    kept = "kept by NTP" if Path("/run/systemd/timesync/synchronized").exists() else "nothing is known of NTP"
    with contextlib.suppress(exceptions.RedisError, OSError), _client(config) as client:
        seconds, microseconds = client.time()
        off = time.time() - seconds - microseconds / 1e6
        if abs(off) > MOST_OFF_SECONDS:
            raise FaultError(f"the clock is {off:+.0f} s off that of Redis")
        return f"{off:+.1f} s off that of Redis, {kept}"
    return kept


def _nginx(config: Config) -> str:
    if config.nginx_conf is None:
        return "there is none, and none is needed"
    try:
        asyncio.run(Program(config.nginx, config.nginx_rtmp_port).check(config.nginx_conf, frozenset()))
    except NginxError as error:
        raise FaultError(str(error)) from error
    return "its configuration is good"


CHECKS: Final[dict[str, Callable[[Config], str]]] = {
    "python": _python,
    "certificates": _certificates,
    "ffmpeg": _ffmpeg,
    "disk": _disk,
    "redis": _redis,
    "clock": _clock,
    "nginx": _nginx,
}
