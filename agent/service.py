"""What systemd is told (sd_notify(3)): that the agent is ready, is alive, is ending. Nothing where nobody asked."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import MutableMapping
from typing import Final

SHARE: Final = 3
"""Signs of life in the time that systemd waits for one (WatchdogSec): two may be late."""


class Service:
    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        """`address`: where datagrams go, `@` for a name without a file; empty: nowhere. `watchdog_s` 0: none."""
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = watchdog_s / SHARE
        self._next_at = 0.0

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Service:
        """Takes the variables out: no child is to speak in this name."""
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        environ.pop("WATCHDOG_PID", None)
        return cls(address, int(microseconds) / 1e6 if microseconds.isascii() and microseconds.isdigit() else 0.0)

    def ready(self, version: str) -> None:
        self._say(f"READY=1\nSTATUS=agent {version}")

    def alive(self, now: float) -> None:
        """`now`: seconds of a clock that only goes forward. Call it as often as you like."""
        if self._every_s and now >= self._next_at:
            self._next_at = now + self._every_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, words: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            line.sendto(words.encode(), self._address)
