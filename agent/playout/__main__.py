"""``python -m agent.playout [--resume] RUN_DIR``, see the package's docstring."""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from .board import FILE_S, Board, write_atomically
from .control import Control
from .logs import JsonFormatter, configure
from .plan import Plan, PlanError, read_plan
from .playout import Playout
from .source import Place

OK, BUG, BAD_PLAN, RUNNING = range(4)
RESTARTED: Final = "restarted"
NAME_LOOKUPS: Final = 32  # one that hangs keeps its thread; it must not keep others waiting
log = logging.getLogger("agent.playout")


class _Process:
    def __init__(self, run_dir: Path, resume: bool) -> None:
        self._dir = run_dir
        self._resume = resume
        self._formatter = JsonFormatter()
        self._logs = configure(self._formatter)

    def run(self) -> int:
        """The exit code."""
        lock = self._lock()
        if lock is None:
            return self._end(RUNNING, "running", {}, write=False)
        try:
            plan = self._load()
        except PlanError as error:
            return self._end(BAD_PLAN, f"plan: {error}", {})
        try:
            asyncio.run(self._play(plan))
        except Exception as error:  # the last guard: whatever it was, the agent is told
            log.exception("internal error")
            return self._end(BUG, type(error).__name__, self._last_status())
        return OK

    async def _play(self, plan: Plan) -> None:
        """Ends the process by itself: asyncio would wait for a name lookup that hangs."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(NAME_LOOKUPS, "look up"))
        playout = Playout(plan, random.Random())  # noqa: S311 - chooses videos, not secrets
        board = Board(playout, self._dir)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, playout.stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the agent's terminal is none of ours
        status = self._last_status() if self._resume else {}
        _take_up(playout, status) if status else playout.begin()
        control = Control(playout, board, self._load)
        server = await control.listen(self._dir / "control.sock")
        showing = asyncio.create_task(board.run())
        log.info("started", extra={"stream_id": plan.stream_id, "run_id": plan.run_id})
        reason = await playout.run()
        showing.cancel()
        server.close()
        status = await board.last_words(restarted=reason == RESTARTED)
        await control.close()
        if reason == RESTARTED:
            self._begin_anew()
        os._exit(self._end(OK, reason, status))

    def _begin_anew(self) -> None:
        """In this process's place, so that its agent, if there is one, notices nothing. Never returns."""
        log.info("begins anew")
        self._logs.stop()
        command = [sys.executable, "-m", "agent.playout", "--resume", str(self._dir)]
        home = str(Path(__file__).resolve().parents[2])
        os.execve(sys.executable, command, os.environ | {"PYTHONPATH": home})  # noqa: S606 - this very program, no shell

    def _load(self) -> Plan:
        plan = read_plan(self._dir / "plan.json")
        self._formatter.secrets |= {destination.key for destination in plan.destinations}
        self._formatter.secrets |= {item.live_url for item in plan.items if item.live_url}
        return plan

    def _lock(self) -> int | None:
        """Held as long as the process lives."""
        descriptor = os.open(self._dir / "playout.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        (self._dir / "exit.json").unlink(missing_ok=True)
        return descriptor

    def _last_status(self) -> dict[str, Any]:
        try:
            status = json.loads((self._dir / "status.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def _end(self, code: int, reason: str, status: dict[str, Any], *, write: bool = True) -> int:
        log.info("ended", extra={"code": code, "reason": reason})
        if write:
            (self._dir / "control.sock").unlink(missing_ok=True)
            data = json.dumps({"code": code, "reason": reason, "status": status}, ensure_ascii=False)
            write_atomically(self._dir / "exit.json", data.encode())
        self._logs.stop()
        return code


def _take_up(playout: Playout, status: dict[str, Any]) -> None:
    """Begin where the process before was when it last wrote, and a bit further for what has passed since."""
    before = status.get("resume")
    if not isinstance(before, dict):
        return
    position_ms, offset = _count(before.get("position_ms")), _count(before.get("offset"))
    at = status.get("written_at")
    away_s = time.time() - at if isinstance(at, int | float) else 0.0
    if status.get("phase") == "playing":
        position_ms += int(1000 * min(FILE_S, max(0.0, away_s)))
    place = Place(position_ms, offset)
    playout.resume(before, place, paused=status.get("paused") is True)
    left_at = before.get("left_at")
    away_s = time.time() - left_at if isinstance(left_at, int | float) else away_s
    playout.outputs.take_up(_broadcasts(status), max(0.0, away_s), restarted=status.get("restarted") is True)


def _broadcasts(status: dict[str, Any]) -> dict[int, Any]:
    """What was said of each destination's, by its id."""
    rows = status.get("destinations")
    known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return {row["id"]: row["renewal"] for row in known if isinstance(row.get("renewal"), dict) and "id" in row}


def _count(value: object) -> int:
    return max(0, value) if isinstance(value, int) else 0


def play(run_dir: Path, resume: bool) -> int:
    """The exit code."""
    os.umask(0o077)
    os.chdir(run_dir)
    return _Process(run_dir, resume).run()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="agent.playout", description="On air for one stream.")
    parser.add_argument("--resume", action="store_true", help="begin at the item and position in status.json")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    options = parser.parse_args(arguments)
    return play(options.run_dir.resolve(), options.resume)


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # nothing that hangs in a thread may hold up the end
