"""Playouts as an agent starts them: by their run directory, their orders and their status."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
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
        self._processes: list[subprocess.Popen[bytes]] = []
        self.dirs: list[Path] = []

    def __enter__(self) -> Playouts:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + STOP_LIMIT_S
        for process in self._processes:
            _end(process, deadline)

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def start(self, number: int, path: Path, destinations: Iterable[dict[str, Any]]) -> Path:
        """The run directory of a new stream that plays the file over and over."""
        run_dir = self._home / f"stream-{number}"
        run_dir.mkdir()
        plan = json.dumps(_plan(number, path, list(destinations)))
        (run_dir / "plan.json").write_text(plan)
        self.dirs.append(run_dir)
        with (run_dir / "log").open("wb") as log:
            command = [sys.executable, "-m", "agent.playout", str(run_dir)]
            self._processes.append(subprocess.Popen(command, cwd=ROOT, stderr=log, start_new_session=True))
        return run_dir


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


def _end(process: subprocess.Popen[bytes], deadline: float) -> None:
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
