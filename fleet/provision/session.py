"""A connection to one server that is made anew when it is lost: a host that reboots is waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from fleet.provision.dialing import Limits, Target
from fleet.provision.errors import Lost, NoRoute, Refused, Silent, SshError
from fleet.provision.ssh import OnLine, OnTick, Result, Ssh, connect
from fleet.provision.step import Upload

LIMITS: Final = Limits(total_s=90.0)
PATIENCE_S: Final = 180.0
"""For a server to come back: what a slow reboot takes."""
RELOAD_S: Final = 8.0
"""For sshd to listen again after it has read its configuration anew."""
_PAUSE_S: Final = 2.0
_TICK_S: Final = 0.25
_PASSING: Final = (Lost, NoRoute, Refused, Silent)
"""What a server that reboots is like, from outside."""


class Session:
    """`target` is asked for at each connection: the login may change on the way. `on_tick` may raise to end a wait."""

    def __init__(
        self,
        target: Callable[[], Target],
        on_tick: OnTick,
        on_open: Callable[[Ssh], None] = lambda ssh: None,
        dial: Callable[[Target, Limits], Ssh] = connect,
    ) -> None:
        self._target = target
        self._on_tick = on_tick
        self._on_open = on_open
        self._dial = dial
        self._ssh: Ssh | None = None

    def close(self) -> None:
        ssh, self._ssh = self._ssh, None
        if ssh is not None:
            ssh.close()

    def open(self, target: Target | None = None) -> Ssh:
        """The connection, made when there is none. Raises `SshError`."""
        if self._ssh is None:
            self._on_tick()
            self._ssh = self._dial(target or self._target(), LIMITS)
            self._ssh.on_tick = self._on_tick
            self._on_open(self._ssh)
        return self._ssh

    def renew(self, target: Target | None = None) -> None:
        """A new connection; the old one only goes when that stands. Raises `SshError`."""
        old, self._ssh = self._ssh, None
        try:
            self._open_soon(target, RELOAD_S)
        except SshError:
            self._ssh = old
            raise
        if old is not None:
            old.close()

    def run(self, argv: Sequence[str], limit_s: float | None = None, on_line: OnLine | None = None) -> Result:
        return self.open().run(argv, limit_s=limit_s, on_line=on_line)

    def put(self, upload: Upload) -> None:
        self.open().put(upload.path, upload.content, mode=upload.mode, owner=upload.owner)

    def come_back(self) -> None:
        """After it was lost. Raises the last `SshError` when it stays away."""
        self.close()
        self._open_soon(None, PATIENCE_S)

    def _open_soon(self, target: Target | None, patience_s: float) -> None:
        until = time.monotonic() + patience_s
        while True:
            try:
                self.open(target)
                return
            except _PASSING:
                if time.monotonic() > until:
                    raise
            self.pause(_PAUSE_S)

    def pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._on_tick()
            time.sleep(min(_TICK_S, left))
