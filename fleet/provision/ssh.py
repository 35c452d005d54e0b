"""SSH to a server: commands and files, over a connection made by `dialing` and `signing_in`.

Commands are argument lists; the one string that crosses the wire is made here (`shlex.join`). Everything has a limit of
time. A host key is pinned or refused before anything secret is sent. What fails raises one of `errors`.
"""

from __future__ import annotations

import contextlib
import math
import select
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import paramiko
from django.utils.translation import gettext as _

from fleet.provision import signing_in
from fleet.provision.dialing import LIMITS, Limits, Target
from fleet.provision.errors import Lost, NoSudo, SshError, TooSlow
from fleet.provision.lines import Lines

MOST_KEPT: Final = 2_000_000
"""Bytes of one stream that a result holds; what comes after is told line by line and forgotten."""
LOCALE: Final = "LC_ALL=C.UTF-8"
"""sshd takes the server's own, and words are read here that programs translate."""
PUT_LIMIT_S: Final = 180.0
_TICK_S: Final = 0.25
_PIECE: Final = 32_768
_LEAST_S: Final = 0.1
_DRAIN_S: Final = 1.0
"""After a command's end, for output that is still on its way; a daemon it left behind may hold the stream for ever."""
_WRITE: Final = (
    'set -e; umask 077; new=$(mktemp "$1.XXXXXXXX"); trap \'rm -f "$new"\' EXIT; cat >"$new"; '
    'test "$(stat -c %s "$new")" = "$2"; chmod "$3" "$new"; chown "$4" "$new"; mv -fT "$new" "$1"'
)
"""Renamed only when every byte is there: a connection that is cut looks like the end of the file."""
_AS_OWNER: Final = (
    'owner=$(stat -Lc %U "${1%/*}") || exit; [ "$owner" != "$(id -un)" ] || exec sh -c "$0" put "$@"; '
    'exec runuser -u "$owner" -- sh -c "$0" put "$@"'
)
"""Whoever has the directory writes: there they could lay a link in the file's place, which root would follow."""

OnLine = Callable[[str], None]
OnTick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Result:
    status: int
    out: str = ""
    err: str = ""

    @property
    def is_ok(self) -> bool:
        return self.status == 0

    @property
    def said(self) -> str:
        return "\n".join(part for part in (self.out.strip(), self.err.strip()) if part)


@dataclass(slots=True)
class _Stream:
    lines: Lines = field(default_factory=Lines)
    data: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes, on_line: OnLine | None) -> None:
        self.data += data[: MOST_KEPT - len(self.data)]
        for line in self.lines.feed(data) if on_line else ():
            on_line(line)  # type: ignore[misc]

    def end(self, on_line: OnLine | None) -> str:
        for line in self.lines.end() if on_line else ():
            on_line(line)  # type: ignore[misc]
        return self.data.decode(errors="replace")


class Ssh:
    """An open connection. `host_key`: what the server showed, for whoever pins it."""

    def __init__(self, client: paramiko.SSHClient, target: Target, limits: Limits, host_key: str) -> None:
        self._client = client
        self._target = target
        self._limits = limits
        self._sudo: tuple[str, ...] | None = None if target.user != "root" else ()
        self._password_first = False
        self.host_key = host_key
        self.on_tick: OnTick | None = None
        """Called several times a second while a command is given its input, and runs; what it raises ends the wait."""
        self.until = math.inf
        """Of `time.monotonic`: no command, and none that finds out how to become root, goes on for longer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        limit_s: float | None = None,
        on_line: OnLine | None = None,
    ) -> Result:
        """As root. Raises `NoSudo`, `TooSlow`, `Lost`; a command that fails is a result."""
        prefix = self._become_root()
        if self._password_first:
            stdin = self._target.password.encode() + b"\n" + stdin
        return self._run(argv, stdin, limit_s or self._limits.command_s, on_line, (*prefix, "env", LOCALE))

    def put(self, path: str, content: bytes, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """Atomically. Raises as `run`, and `SshError` with what the server said."""
        result = self.run(put_argv(path, len(content), mode, owner), stdin=content, limit_s=PUT_LIMIT_S)
        if not result.is_ok:
            raise SshError(_("«%(path)s» could not be written: %(why)s") % {"path": path, "why": result.said[-500:]})

    @property
    def is_open(self) -> bool:
        return self._is_open()

    def take_from(self, port: int, on_channel: Callable[[paramiko.Channel], None]) -> None:
        """Listens on the server's own loopback, and hands over what connects there. Raises `Lost`, and `SshError` when
        the server does not allow it or the port is taken. `on_channel` must not wait."""
        transport = self._client.get_transport()
        if transport is None or not self._is_open():
            raise Lost(_("The connection was lost."))
        try:
            transport.request_port_forward("127.0.0.1", port, lambda channel, _origin, _server: on_channel(channel))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise SshError(_("It does not let us listen on its port %(port)d.") % {"port": port}) from error

    # ---------------------------------------------------------------------------------------- becoming root

    def _become_root(self) -> tuple[str, ...]:
        if self._sudo is None:
            self._sudo = self._find_sudo()
        return self._sudo

    def _find_sudo(self) -> tuple[str, ...]:
        """`-k`: what a sudo before this one was told does not count, so that it asks each time or never."""
        limit_s = self._limits.command_s
        free = self._run(["sudo", "-k", "-n", "true"], b"", limit_s)
        if free.is_ok:
            return ("sudo", "-n", "--")
        if free.status == 127:
            raise NoSudo(_("«%(user)s» is not root, and there is no sudo.") % {"user": self._target.user})
        if not self._target.password:
            raise NoSudo(
                _("sudo wants a password of «%(user)s», and we know a key only.") % {"user": self._target.user}
            )
        asking = ("sudo", "-k", "-S", "-p", "", "--")
        asked = self._run([*asking, "true"], self._target.password.encode() + b"\n", limit_s)
        if not asked.is_ok:
            raise NoSudo(_("«%(user)s» may not become root by sudo with its password.") % {"user": self._target.user})
        self._password_first = True
        return asking

    # ---------------------------------------------------------------------------------------- one command

    def _run(
        self,
        argv: Sequence[str],
        stdin: bytes,
        limit_s: float,
        on_line: OnLine | None = None,
        prefix: Sequence[str] = (),
    ) -> Result:
        limit_s = min(limit_s, max(_LEAST_S, self.until - time.monotonic()))
        until = time.monotonic() + limit_s
        try:
            channel = self._open(limit_s)
            with contextlib.closing(channel):
                _begin(channel, shlex.join((*prefix, *argv)), limit_s)
                self._write(channel, stdin, until)
                return self._read(channel, until, argv, on_line)
        except TimeoutError:
            raise _too_slow(argv, limit_s) from None
        except (paramiko.SSHException, EOFError, OSError) as error:
            if self._is_open() and (time.monotonic() >= until or "timeout" in str(error).lower()):
                raise _too_slow(argv, limit_s) from None
            raise Lost(_("The connection was lost.")) from error

    def _is_open(self) -> bool:
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    def _open(self, limit_s: float) -> paramiko.Channel:
        transport = self._client.get_transport()
        if transport is None or not self._is_open():
            raise Lost(_("The connection was lost."))
        channel = transport.open_session(timeout=limit_s)
        channel.settimeout(limit_s)
        return channel

    def _write(self, channel: paramiko.Channel, stdin: bytes, until: float) -> None:
        """A command that ends before it has read everything is judged by its status."""
        channel.settimeout(_TICK_S)
        at = 0
        try:
            while at < len(stdin):
                with contextlib.suppress(TimeoutError):
                    at += channel.send(stdin[at : at + _PIECE])
                self._tick(until)
        except TimeoutError:
            raise
        except OSError:
            if not self._is_open():
                raise
        with contextlib.suppress(OSError):
            channel.shutdown_write()

    def _read(self, channel: paramiko.Channel, until: float, argv: Sequence[str], on_line: OnLine | None) -> Result:
        out, err = _Stream(), _Stream()
        ended_at: float | None = None
        while True:
            select.select([channel], [], [], _TICK_S)
            moved = _drain(channel, out, err, on_line)
            now = time.monotonic()
            if not moved and (channel.closed or channel.eof_received or (ended_at and now > ended_at + _DRAIN_S)):
                break
            if ended_at is None and channel.exit_status_ready():
                ended_at = now
            self._tick(until)
        return Result(self._status(channel, until), out.end(on_line), err.end(on_line))

    def _tick(self, until: float) -> None:
        if self.on_tick is not None:
            self.on_tick()
        if time.monotonic() > until:
            raise TimeoutError

    def _status(self, channel: paramiko.Channel, until: float) -> int:
        """-1 for one ended by a signal."""
        if not channel.status_event.wait(max(0.0, until - time.monotonic())):
            raise TimeoutError
        if channel.exit_status == -1 and not self._is_open():
            raise Lost(_("The connection was lost."))
        return channel.exit_status


def _begin(channel: paramiko.Channel, command: str, limit_s: float) -> None:
    """paramiko waits for ever for the answer to this; a host that hangs does not give one."""

    def give_up() -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            channel.close()

    watch = threading.Timer(limit_s, give_up)
    watch.daemon = True
    watch.start()
    try:
        channel.exec_command(command)
    finally:
        watch.cancel()


def _too_slow(argv: Sequence[str], limit_s: float) -> TooSlow:
    return TooSlow(_("«%(what)s» took longer than %(s)d s.") % {"what": argv[0], "s": math.ceil(limit_s)})


def _drain(channel: paramiko.Channel, out: _Stream, err: _Stream, on_line: OnLine | None) -> bool:
    """One piece of each, so that the clock is looked at in between: who talks fast enough always has more."""
    moved = False
    if channel.recv_ready():
        out.take(channel.recv(65536), on_line)
        moved = True
    if channel.recv_stderr_ready():
        err.take(channel.recv_stderr(65536), on_line)
        moved = True
    return moved


def put_argv(path: str, size: int, mode: int, owner: str) -> list[str]:
    """For root: writes what comes in, if it is `size` bytes, atomically. `path` is absolute."""
    return ["sh", "-c", _AS_OWNER, _WRITE, path, str(size), f"{mode:o}", owner]


def connect(target: Target, limits: Limits = LIMITS) -> Ssh:
    """Raises one of `errors`, within `limits`."""
    client = signing_in.sign_in(target, limits)
    return Ssh(client, target, limits, signing_in.shown_key(client))
