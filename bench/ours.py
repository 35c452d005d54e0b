"""Playouts as an agent starts them, from its nursery where there is one: by their run directory, their orders and
their status.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
STOP_LIMIT_S: Final = 20.0


def destination(number: int, url: str, key: str) -> dict[str, Any]:
    return {"id": number, "name": f"place {number}", "url": url, "key": key, "enabled": True}


class Playouts:
    """`pids` are the playouts', and of what keeps them; all of them end with the block."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._nursery = _Nursery() if importlib.util.find_spec("agent.playout.nursery") else None
        self._playouts: list[int] = []
        self._fresh: list[subprocess.Popen[bytes]] = []
        self.dirs: list[Path] = []

    def __enter__(self) -> Playouts:
        return self

    def __exit__(self, *exc: object) -> None:
        """A playout says farewell to its destinations; what has not ended by the deadline is killed."""
        left = {pid: os.pidfd_open(pid) for pid in self._alive()}
        for pid in left:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_LIMIT_S
        for pid, pidfd in left.items():
            if not select.select([pidfd], [], [], max(0.1, deadline - time.monotonic()))[0]:
                os.kill(pid, signal.SIGKILL)
            os.close(pidfd)
        for process in self._fresh:
            process.wait()
        if self._nursery:
            self._nursery.close()

    @property
    def pids(self) -> list[int]:
        return [*([self._nursery.pid] if self._nursery else []), *self._playouts]

    def start(self, number: int, path: Path, destinations: Iterable[dict[str, Any]]) -> Path:
        """The run directory of a new stream that plays the file over and over."""
        run_dir = self._home / f"stream-{number}"
        run_dir.mkdir()
        plan = json.dumps(_plan(number, path, list(destinations)))
        (run_dir / "plan.json").write_text(plan)
        self.dirs.append(run_dir)
        self._playouts.append(self._nursery.fork(run_dir) if self._nursery else self._start_fresh(run_dir))
        return run_dir

    def _start_fresh(self, run_dir: Path) -> int:
        with (run_dir / "log").open("wb") as log:
            command = [sys.executable, "-m", "agent.playout", str(run_dir)]
            self._fresh.append(subprocess.Popen(command, cwd=ROOT, stderr=log, start_new_session=True))
        return self._fresh[-1].pid

    def _alive(self) -> Iterator[int]:
        """Who died on the way is none of ours any more: another may have its number."""
        for pid in self._playouts:
            with contextlib.suppress(FileNotFoundError):
                if b"agent.playout" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid


class _Nursery:
    """The agent's nursery (agent/playout/nursery.py) without the agent."""

    def __init__(self) -> None:
        as_agent = importlib.import_module("agent.nursery")
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(STOP_LIMIT_S)
        with theirs:
            self._process = subprocess.Popen(
                [*as_agent.COMMAND, as_agent.ROOM_FOR_NAMES],
                stdin=theirs.fileno(),
                cwd=ROOT,
                env=as_agent.clean_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def fork(self, run_dir: Path) -> int:
        self._line.sendall(json.dumps({"run_dir": str(run_dir), "resume": False}).encode())
        answer = json.loads(self._line.recv(4096))
        return int(answer["pid"])

    def close(self) -> None:
        self._line.close()
        self._process.wait()


def drops(home: Path) -> int:
    """Packets that a destination of the playouts in `home` did not get because its queue was full."""
    places = [place for run_dir in home.glob("stream-*") for place in status(run_dir)["destinations"]]
    return sum(place["drops"] for place in places)


def status(run_dir: Path) -> dict[str, Any]:
    return order(run_dir, "status")["status"]


def order(run_dir: Path, name: str, **more: Any) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(run_dir / "control.sock"))
        connection.sendall(json.dumps({"order": name} | more).encode() + b"\n")
        with connection.makefile("rb") as lines:
            return json.loads(lines.readline())


def _plan(number: int, path: Path, destinations: list[dict[str, Any]]) -> dict[str, Any]:
    item = {"item_id": 1, "file_id": 1, "title": "footage", "path": str(path), "ready": True, "complete": True}
    return {
        "stream_id": number,
        "run_id": f"run-{number}",
        "epoch": 1,
        "loop": True,
        "order": "sequential",
        "items": [item | {"duration_s": None, "failed": None}],
        "destinations": destinations,
        "reach_private": True,
    }
