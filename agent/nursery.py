"""The agent's end of the nursery (agent/playout/nursery.py): started, asked for playouts, replaced when it fails.

Nothing depends on it: whoever gets no playout here starts a fresh interpreter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ANSWER_SECONDS: Final = 1.0
FIRST_ANSWER_SECONDS: Final = 2.0
"""A new one has its imports to do."""
COMMAND: Final = (sys.executable, "-m", "agent.playout.nursery")
ROOM_FOR_NAMES: Final = " " * 4500
"""An argument nobody reads: playouts write their command lines over it (agent/playout/title.py)."""
THRIFT: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""For glibc's malloc (mallopt(3)), 3 MB a stream: big blocks go back when they are free, threads share one heap."""
log = logging.getLogger("agent.nursery")


@dataclass(slots=True)
class _Process:
    child: subprocess.Popen[bytes]
    pidfd: int
    line: socket.socket
    proven: bool = False
    """It has answered."""


class Nursery:
    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = (*command, ROOM_FOR_NAMES)
        self._process: _Process | None = None
        self._asking = asyncio.Lock()
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._process.child.pid if self._process else None

    def warm_up(self) -> None:
        """So that it is ready when the first playout is wanted."""
        if self._process is None and not self._closed:
            try:
                self._process = self._start()
            except OSError as error:
                log.error("the nursery cannot be started: %s", error.strerror)

    async def spawn(self, run_dir: Path, *, resume: bool) -> int | None:
        """The pid of a new playout, not a child of this process. None: begin it in another way."""
        async with self._asking:
            for _ in range(2):
                self.warm_up()
                if (process := self._process) is None:
                    return None
                answer = await self._ask(process, {"run_dir": str(run_dir), "resume": resume})
                if answer is not None:
                    process.proven = True
                    return _pid(answer)
        return None

    def close(self) -> None:
        self._closed = True
        if self._process is not None:
            self._end(self._process)

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            ours.setblocking(False)
            child = subprocess.Popen(
                self._command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd=home_of_the_package(),
                env=clean_environment(),
            )
            process = _Process(child, os.pidfd_open(child.pid), ours)
            undo.pop_all()
        asyncio.get_running_loop().add_reader(process.pidfd, self._died, process)
        return process

    async def _ask(self, process: _Process, request: dict[str, Any]) -> dict[str, Any] | None:
        """None: there will be no answer, also not later."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_SECONDS if process.proven else FIRST_ANSWER_SECONDS):
                await loop.sock_sendall(process.line, json.dumps(request).encode())
                if raw := await loop.sock_recv(process.line, 4096):
                    return _read(raw)
        except OSError:  # TimeoutError is one too
            log.warning("the nursery does not answer", extra={"detail": str(process.child.pid)})
        return self._last_word(process)

    def _last_word(self, process: _Process) -> dict[str, Any] | None:
        """Gives it up. An answer that came in this moment counts: its playout lives."""
        with contextlib.suppress(OSError):
            process.line.shutdown(socket.SHUT_RD)
        raw = b""
        with contextlib.suppress(OSError):
            raw = process.line.recv(4096)
        self._end(process)
        return _read(raw) if raw else None

    def _died(self, process: _Process) -> None:
        log.warning("the nursery died", extra={"detail": str(process.child.pid)})
        # Whoever waits for an answer is told by the end of the line: it is closed there, not here.
        asyncio.get_running_loop().remove_reader(process.pidfd)
        process.child.wait()
        if self._process is process and not self._asking.locked():
            self._end(process)

    def _end(self, process: _Process) -> None:
        if self._process is process:
            self._process = None
        asyncio.get_running_loop().remove_reader(process.pidfd)
        os.close(process.pidfd)
        process.line.close()
        process.child.kill()
        process.child.wait()


def home_of_the_package() -> Path:
    """Where `python -m agent.playout` finds the package; a zipapp finds itself by PYTHONPATH."""
    home = Path(__file__).resolve().parent.parent
    return home if home.is_dir() else home.parent


def clean_environment() -> dict[str, str]:
    """No settings of the agent: they hold the password of Redis, and a playout needs none."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EZSTREAM_")}
    home = str(Path(__file__).resolve().parent.parent)
    return THRIFT | kept | {"PYTHONPATH": home}


def _read(raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _pid(answer: dict[str, Any]) -> int | None:
    if "pid" in answer:
        return int(answer["pid"])
    log.warning("the nursery could not begin a playout: %s", answer.get("error"))
    return None
