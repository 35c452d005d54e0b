"""Keeps a set of child processes: starts, restarts, prints and ends them.

honcho would serve for `bin/dev` alone, but it ends everything when one process ends and must own the main thread;
tests and benches kill processes on purpose and want them back.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In a fresh child: be told to end when the thread that started it ends (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_on_signals() -> None:
    """Ctrl-C and SIGTERM raise KeyboardInterrupt, once: a second one does not disturb the ending."""

    def end(_signum: int, _frame: object) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, end)


def wait_for_the_end() -> None:
    """Until one of the signals of `end_on_signals` comes."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()


@dataclass
class Child:
    """One supervised command. `restart`: start it again, a second later, when it ends by itself."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    restart: bool = True
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ProcessLookupError(f"{self.name} is not running")
        return self.process.pid


class Supervisor:
    """Owns the children from `start` to `stop`. Start it from a thread that lives as long as they should."""

    def __init__(self, log_dir: Path, echo: bool = False) -> None:
        self.log_dir = log_dir
        self.echo = echo
        self.children: dict[str, Child] = {}
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        """Held while a process is being started: after `stop` took it there is none that it does not know."""
        self._threads: list[threading.Thread] = []

    def start(self, child: Child) -> Child:
        self.children[child.name] = child
        self.log_dir.mkdir(parents=True, exist_ok=True)
        started = threading.Event()
        thread = threading.Thread(target=self._keep, args=(child, started), name=f"keep-{child.name}", daemon=True)
        self._threads.append(thread)
        thread.start()
        started.wait()
        return child

    def _keep(self, child: Child, started: threading.Event) -> None:
        # PDEATHSIG follows the thread that forks: this one lives exactly as long as the child is wanted.
        while True:
            try:
                process = self._begin(child)
            finally:
                started.set()
            if process is None:
                return
            with (self.log_dir / f"{child.name}.log").open("ab") as log:
                self._pump(child, process, log)
            process.wait()
            if not child.restart or self._stopping.wait(1.0):
                return

    def _begin(self, child: Child) -> subprocess.Popen[bytes] | None:
        """None when the end came first."""
        with self._starting:
            if self._stopping.is_set():
                return None
            child.process = subprocess.Popen(
                list(child.argv),
                env=dict(child.env),
                cwd=child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            return child.process

    def _pump(self, child: Child, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        if process.stdout is None:
            return
        with process.stdout as output:
            for line in iter(output.readline, b""):
                log.write(line)
                log.flush()
                if self.echo:
                    sys.stderr.write(f"{child.name:>9} │ {line.decode(errors='replace')}")

    def kill(self, name: str, signum: int = signal.SIGKILL) -> None:
        os.kill(self.children[name].pid, signum)

    def stop(self, limit_s: float = 12.0) -> None:
        """SIGTERM to all, SIGKILL after the limit. Children end in any order."""
        with self._starting:
            self._stopping.set()
        self._signal_all(signal.SIGTERM)
        deadline = time.monotonic() + limit_s
        for child in self.children.values():
            self._wait(child, deadline)
        for thread in self._threads:
            thread.join(2.0)

    def _signal_all(self, signum: int) -> None:
        for child in self.children.values():
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(signum)

    def _wait(self, child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(0.05, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


class NotInTimeError(TimeoutError):
    """A condition did not come true within its limit."""


ROOM: Final = 4.0
"""Limits of time are held with this much room: the machine is shared, and what breaks a promise breaks it by far."""


def wait_until(condition: Callable[[], object], what: str, limit_s: float = 20.0, every_s: float = 0.02) -> None:
    """Polls until `condition()` is true, `limit_s` with ROOM at most; `what` names it in the error."""
    limit_s *= ROOM
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"not within {limit_s:g} s: {what}")
        time.sleep(every_s)


def lives(pid: int) -> bool:
    """A dead one that nobody has reaped yet does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
