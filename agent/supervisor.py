"""Playout processes: begun in a session of their own, watched by pidfd, adopted, signalled, buried."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent import procfs
from agent.actions import Steer
from agent.events import Event, PlayoutExited, PlayoutHung, PlayoutStarted, PlayoutStatus, SteerAnswered
from agent.journal import write_atomically
from agent.nursery import Nursery, clean_environment, home_of_the_package
from agent.playout_link import STEER_SECONDS, PlayoutLink
from agent.playout_words import Answer

PLAN: Final = "plan.json"
EXIT: Final = "exit.json"
LOG: Final = "run.log"
LONGEST_LOG: Final = 5 * 1024 * 1024
OLD_LOGS_KEPT: Final = 50
TAIL_BYTES: Final = 16 * 1024
COMMAND: Final = (sys.executable, "-m", "agent.playout")
log = logging.getLogger("agent.supervisor")

Post = Callable[[Event], None]


@dataclass(slots=True)
class _Playout:
    stream_id: int
    run_id: str
    pid: int
    pidfd: int
    link: PlayoutLink
    child: subprocess.Popen[bytes] | None
    """None: somebody else's child, adopted or from the nursery."""


class Supervisor:
    def __init__(
        self, runs_dir: Path, post: Post, command: tuple[str, ...] = COMMAND, nursery: Nursery | None = None
    ) -> None:
        self._runs_dir = runs_dir
        self._post = post
        self._command = command
        self._nursery = nursery
        self._playouts: dict[str, _Playout] = {}
        self._coming: dict[str, int | None] = {}
        """Asked of the nursery, not here yet; the signal it is to get then."""
        self._tasks: set[asyncio.Task[Any]] = set()

    def run_dir(self, run_id: str) -> Path:
        return self._runs_dir / run_id

    # ------------------------------------------------------------------------------------ beginning

    def spawn(self, stream_id: int, run_id: str, *, resume: bool) -> None:
        """Posts PlayoutStarted, or PlayoutExited when it could not even begin."""
        if self._nursery is None:
            self._begin_fresh(stream_id, run_id, resume)
        else:
            self._coming[run_id] = None
            self._later(self._begin_warm(self._nursery, stream_id, run_id, resume))

    async def _begin_warm(self, nursery: Nursery, stream_id: int, run_id: str, resume: bool) -> None:
        run_dir = self.run_dir(run_id)
        with contextlib.suppress(OSError):
            (run_dir / EXIT).unlink(missing_ok=True)
        pid = await nursery.spawn(run_dir, resume=resume)
        number = self._coming.pop(run_id, None)
        if pid is None:
            self._begin_fresh(stream_id, run_id, resume)
        else:
            self._watch(stream_id, run_id, pid, None)
        if number is not None:
            self.signal(run_id, number)

    def _begin_fresh(self, stream_id: int, run_id: str, resume: bool) -> None:
        try:
            child = self._popen(self.run_dir(run_id), resume)
        except OSError as error:
            reason = f"it could not be started ({error.strerror})"
            self._post(PlayoutExited(stream_id, run_id, None, reason))
            return
        self._watch(stream_id, run_id, child.pid, child)

    def _watch(self, stream_id: int, run_id: str, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        ticks = procfs.start_ticks(pid) or 0
        try:
            self._attach(stream_id, run_id, pid, child)
        except ProcessLookupError:
            self._post(PlayoutExited(stream_id, run_id, None, exit_reason(self.run_dir(run_id))))
            return
        self._post(PlayoutStarted(stream_id, run_id, pid, ticks))

    def _popen(self, run_dir: Path, resume: bool) -> subprocess.Popen[bytes]:
        (run_dir / EXIT).unlink(missing_ok=True)
        arguments = [*self._command, *(["--resume"] if resume else []), str(run_dir)]
        with (run_dir / LOG).open("ab") as output:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=home_of_the_package(),
                env=clean_environment(),
            )

    def adopt(self, stream_id: int, run_id: str, pid: int, ticks: int) -> bool:
        """Watches a playout an earlier agent began. False: it is gone."""
        if not procfs.is_alive(pid, ticks):
            return False
        try:
            self._attach(stream_id, run_id, pid, None)
        except ProcessLookupError:
            return False
        return True

    def _attach(self, stream_id: int, run_id: str, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        pidfd = os.pidfd_open(pid)
        link = PlayoutLink(
            run_id,
            self.run_dir(run_id),
            lambda playing: self._post(PlayoutStatus(run_id, playing)),
            lambda: self._post(PlayoutHung(stream_id, run_id, pid)),
        )
        playout = _Playout(stream_id, run_id, pid, pidfd, link, child)
        self._playouts[run_id] = playout
        asyncio.get_running_loop().add_reader(pidfd, self._exited, playout)

    def _exited(self, playout: _Playout) -> None:
        self._detach(playout)
        if playout.child is not None:
            playout.child.wait()
        reason = exit_reason(self.run_dir(playout.run_id))
        self._post(PlayoutExited(playout.stream_id, playout.run_id, playout.pid, reason))

    def _detach(self, playout: _Playout) -> None:
        asyncio.get_running_loop().remove_reader(playout.pidfd)
        os.close(playout.pidfd)
        if self._playouts.get(playout.run_id) is playout:
            del self._playouts[playout.run_id]
        self._later(playout.link.close())

    # --------------------------------------------------------------------------------------- orders

    def write_plan(self, run_id: str, plan: dict[str, Any]) -> None:
        write_atomically(self.run_dir(run_id) / PLAN, plan)
        playout = self._playouts.get(run_id)
        if playout is not None:
            playout.link.reload()

    def ask_to_stop(self, run_id: str) -> None:
        playout = self._playouts.get(run_id)
        if playout is not None:
            self._later(self._stop(playout))

    def ask_next(self, run_id: str) -> None:
        playout = self._playouts.get(run_id)
        if playout is not None:
            self._later(playout.link.order("next"))

    def steer(self, order: Steer) -> None:
        """Posts SteerAnswered, whatever comes of it."""
        playout = self._playouts.get(order.run_id)
        about = {"item_id": order.item_id, "destination_id": order.destination_id}
        answer = playout.link.order(order.order, about, STEER_SECONDS) if playout else None
        self._later(self._answer(order, answer))

    async def _answer(self, order: Steer, coming: Awaitable[Answer] | None) -> None:
        answer = await coming if coming else Answer(False, "nothing is on air at the moment")
        told = (answer.ok, answer.error, answer.item_id)
        self._post(SteerAnswered(order.stream_id, order.run_id, order.order_id, *told))

    async def _stop(self, playout: _Playout) -> None:
        # One that does not listen yet has nothing on air that it would have to close.
        if not await playout.link.stop():
            self.signal(playout.run_id, signal.SIGTERM)

    def signal(self, run_id: str, number: int) -> None:
        playout = self._playouts.get(run_id)
        if playout is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(playout.pidfd, number)
        elif run_id in self._coming:
            self._coming[run_id] = number

    async def let_go(self) -> None:
        """Stops watching; the playouts stay as they are."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for playout in list(self._playouts.values()):
            self._detach(playout)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ----------------------------------------------------------------------------------------- logs

    def append_log(self, run_id: str, lines: tuple[str, ...]) -> None:
        with (self.run_dir(run_id) / LOG).open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)

    def tail(self, run_id: str, lines: int = 20) -> tuple[str, ...]:
        path = self.run_dir(run_id) / LOG
        if not path.exists():
            return ()
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return tuple(file.read().decode(errors="replace").splitlines()[-lines:])

    def rotate_logs(self) -> None:
        """The playout holds its log open for appending: it is copied aside and emptied, not renamed."""
        for run_id in self._playouts:
            path = self.run_dir(run_id) / LOG
            if path.exists() and path.stat().st_size > LONGEST_LOG:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)

    def bury(self, run_id: str) -> None:
        """The run is over: its directory goes, its log is kept for a while."""
        run_dir = self.run_dir(run_id)
        graveyard = self._runs_dir.parent / "logs"
        graveyard.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (run_dir / LOG).exists():
            (run_dir / LOG).replace(graveyard / f"{run_id}.log")
        shutil.rmtree(run_dir, ignore_errors=True)
        old = sorted(graveyard.glob("*.log"), key=lambda path: path.stat().st_mtime)
        for path in old[:-OLD_LOGS_KEPT]:
            path.unlink(missing_ok=True)


def exit_reason(run_dir: Path) -> str | None:
    """What the playout wrote when it ended; None when it could not (killed)."""
    try:
        body = json.loads((run_dir / EXIT).read_text(encoding="utf-8"))
        return str(body["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
