"""A playout process under test: its plan, its orders, its state, its end."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.playout.live import LiveInputs
from lab.processes import ROOM, wait_until

ROOT = Path(__file__).parents[3]


def item(item_id: int, path: Path | str, **changes: Any) -> dict[str, Any]:
    plain = {
        "item_id": item_id,
        "file_id": item_id,
        "title": f"clip {item_id}",
        "path": str(path),
        "ready": True,
        "complete": True,
        "duration_s": None,
        "failed": None,
    }
    return plain | changes


def items(*paths: Path) -> list[dict[str, Any]]:
    return [item(number, path) for number, path in enumerate(paths, 1)]


def destination(number: int, url: str, key: str = "", **changes: Any) -> dict[str, Any]:
    plain = {
        "id": number,
        "name": f"place {number}",
        "url": url,
        "key": key or f"key{number}",
        "enabled": True,
    }
    return plain | changes


def no_inputs() -> LiveInputs:
    """For programmes without live items."""
    return LiveInputs(lambda: "ffmpeg", lambda: None, lambda: True)


class RunningPlayout:
    """`python -m agent.playout` in `run_dir`; ended at the end of the block if it is still there."""

    def __init__(
        self,
        run_dir: Path,
        playlist: Iterable[dict[str, Any]],
        destinations: Iterable[dict[str, Any]],
        *,
        resume: bool = False,
        stderr: int | None = None,
        **plan: Any,
    ) -> None:
        self.dir = run_dir
        self.plan: dict[str, Any] = {
            "stream_id": 7,
            "run_id": "run",
            "epoch": 1,
            "loop": True,
            "order": "sequential",
            "items": list(playlist),
            "destinations": list(destinations),
            "reach_private": True,
        } | plan
        self._stderr = stderr
        self._options = ["--resume"] if resume else []

    def __enter__(self) -> Self:
        self.write_plan()
        command = [sys.executable, "-m", "agent.playout", *self._options, str(self.dir)]
        with (self.dir / "log").open("ab") as log:
            stderr = self._stderr or log
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=stderr, start_new_session=True)
        wait_until(self._answers_or_ended, what="the control socket")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(3 * ROOM)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def write_plan(self) -> None:
        draft = self.dir / "plan.new"
        draft.write_text(json.dumps(self.plan))
        draft.chmod(0o600)
        draft.replace(self.dir / "plan.json")

    def reload(self, **plan: Any) -> None:
        self.plan |= plan
        self.write_plan()
        answer = self.order("reload")
        assert answer == {"ok": True}, answer

    def order(self, order: str, **more: Any) -> dict[str, Any]:
        return self.send(json.dumps({"order": order} | more).encode())

    def send(self, line: bytes) -> dict[str, Any]:
        with self._connection() as connection, connection.makefile("rb") as lines:
            connection.sendall(line + b"\n")
            return json.loads(lines.readline())

    def status(self) -> dict[str, Any]:
        return self.order("status")["status"]

    def state(self, number: int) -> str:
        return self.destination(number)["state"]

    def destination(self, number: int) -> dict[str, Any]:
        return next(each for each in self.status()["destinations"] if each["id"] == number)

    def watch_until(self, enough: Callable[[dict[str, Any]], bool], limit_s: float = 10) -> list[dict[str, Any]]:
        """The lines seen up to and including the first that is enough."""
        seen = []
        with self._connection(limit_s) as connection, connection.makefile("rb") as lines:
            connection.sendall(b'{"order": "watch"}\n')
            lines.readline()
            for line in lines:
                seen.append(json.loads(line))
                if enough(seen[-1]):
                    return seen
        raise AssertionError(f"not seen: {seen[-1:]}")

    def wait_for_state(self, number: int, state: str, limit_s: float = 10) -> None:
        wait_until(lambda: self.state(number) == state, f"destination {number} being {state}", limit_s)

    def wait_for_item(self, item_id: int, limit_s: float = 10) -> None:
        wait_until(lambda: self.status()["item_id"] == item_id, f"item {item_id}", limit_s)

    def exit(self, limit_s: float = 10) -> dict[str, Any]:
        self.process.wait(limit_s * ROOM)
        return json.loads((self.dir / "exit.json").read_text())

    def log(self) -> str:
        return (self.dir / "log").read_text()

    def _connection(self, limit_s: float = 5) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(limit_s * ROOM)
        try:
            connection.connect(str(self.dir / "control.sock"))
        except OSError:
            connection.close()
            raise
        return connection

    def _answers_or_ended(self) -> bool:
        if self.process.poll() is not None:
            return True
        try:
            return bool(self.status())
        except OSError:
            return False
