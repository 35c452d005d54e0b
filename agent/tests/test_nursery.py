"""Playouts forked from the real nursery: as separate as fresh ones, cheaper, and never lost over it."""

# ruff: noqa: ASYNC110 - waiting for conditions of real processes

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from agent import nursery as module
from agent import procfs
from agent.events import PlayoutExited, PlayoutStarted
from agent.nursery import Nursery
from agent.playout.tests.clips import clip
from agent.playout.tests.driver import destination, item
from agent.playout.tests.servers import NginxRtmp
from agent.supervisor import Supervisor
from agent.tests.test_supervisor import Scene
from bench.playout_memory import pss_mb
from lab.processes import ROOM

DEAF = (sys.executable, "-c", "import signal; signal.pause()")
GONE = ("/nonexistent/python",)
MOST_MB = 14.0


class Warm(Scene):
    """A supervisor with a nursery, and what began of it."""

    def __init__(self, tmp_path: Path, command: tuple[str, ...] = module.COMMAND) -> None:
        super().__init__(tmp_path)
        self.nursery = Nursery(command)
        self.supervisor = Supervisor(tmp_path, self.events.append, nursery=self.nursery)

    def plan(self, run_id: str = "r1", **more) -> None:
        self.supervisor.run_dir(run_id).mkdir(exist_ok=True)
        body = {"stream_id": 1, "run_id": run_id, "epoch": 1, "loop": True, "order": "sequential"}
        body |= {"items": [item(1, clip())], "destinations": [], "reach_private": True}
        self.supervisor.write_plan(run_id, body | more)

    async def on_air(self, **more) -> int:
        self.plan(**more)
        before = len(self.of(PlayoutStarted))
        self.supervisor.spawn(1, "r1", resume=False)
        await self.until(lambda: len(self.of(PlayoutStarted)) > before)
        await self.until((self.run_dir / "control.sock").exists)
        return self.pid

    async def gone(self, pid: int) -> None:
        """Not even a zombie."""
        await self.until(lambda: not Path(f"/proc/{pid}").exists())


@contextlib.asynccontextmanager
async def warm(tmp_path: Path, **more) -> AsyncIterator[Warm]:
    it = Warm(tmp_path, **more)
    try:
        yield it
    finally:
        await it.supervisor.let_go()
        for pids in procfs.playouts_under(tmp_path).values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
        it.nursery.close()


async def test_a_forked_playout_is_as_separate_as_a_fresh_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("EZSTREAM_REDIS_URL", "redis://:word@nowhere")
    async with warm(tmp_path) as it:
        pid = await it.on_air()
        proc = Path(f"/proc/{pid}")
        assert os.getsid(pid) == pid
        assert procfs.command_line(pid) == [sys.executable, "-m", "agent.playout", str(it.run_dir)]
        assert procfs.playouts_under(tmp_path) == {it.run_dir: [pid]}
        assert b"EZSTREAM_" not in (proc / "environ").read_bytes()
        assert os.readlink(proc / "cwd") == str(it.run_dir)
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        assert (status["Umask"].strip(), int(status["SigBlk"], 16)) == ("0077", 0)
        assert not int(status["SigIgn"], 16) & 1 << (signal.SIGCHLD - 1)
        ends = [os.readlink(proc / "fd" / str(number)) for number in (0, 1, 2)]
        assert ends == ["/dev/null", str(it.run_dir / "run.log"), str(it.run_dir / "run.log")]
        assert it.nursery.pid is not None
        assert len(os.listdir(f"/proc/{it.nursery.pid}/task")) == 1, "nothing to be half done at a fork"
        assert procfs.command_line(it.nursery.pid)[1:] == ["-m", "agent.playout.nursery"]


async def test_a_forked_playout_holds_no_file_of_its_nursery(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        pid = await it.on_air()
        lines = {link for link in _open_files(it.nursery.pid) if link.startswith("socket")}
        assert len(lines) == 1
        assert not lines & _open_files(pid)


def _open_files(pid: int | None) -> set[str]:
    return {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}


async def test_its_words_are_in_its_log_and_its_reason_is_heard(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        pid = await it.on_air()
        it.supervisor.ask_to_stop("r1")
        await it.until(lambda: it.of(PlayoutExited))
        assert it.of(PlayoutExited) == [PlayoutExited(1, "r1", pid, "stopped")]
        events = [json.loads(line)["event"] for line in it.supervisor.tail("r1")]
        assert (events[0], events[-1]) == ("started", "ended")
        await it.gone(pid)


async def test_one_that_is_killed_is_seen_and_leaves_no_zombie(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        pid = await it.on_air()
        os.kill(pid, signal.SIGKILL)
        await it.until(lambda: it.of(PlayoutExited), 1.0)
        assert it.of(PlayoutExited) == [PlayoutExited(1, "r1", pid, None)]
        await it.gone(pid)


async def test_it_resumes(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        (it.run_dir / "status.json").write_text(
            json.dumps({"resume": {"item_id": 2, "file_id": 2, "position_ms": 500}})
        )
        it.plan(items=[item(1, clip()), item(2, clip("b"))])
        it.supervisor.spawn(1, "r1", resume=True)
        await it.until(lambda: any(each.playing.item_id for each in it.events if hasattr(each, "playing")))
        assert next(each.playing.item_id for each in it.events if hasattr(each, "playing")) == 2


async def test_a_killed_nursery_takes_no_playout_along_and_is_replaced(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        first = await it.on_air()
        old = it.nursery.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        await it.gone(old)
        assert procfs.start_ticks(first) is not None
        it.plan("r2")
        it.supervisor.spawn(2, "r2", resume=False)
        await it.until(lambda: len(it.of(PlayoutStarted)) == 2)
        assert it.nursery.pid not in (None, old)
        assert os.getsid(it.pid) == it.pid != first
        os.kill(first, signal.SIGKILL)
        await it.until(lambda: it.of(PlayoutExited), 1.0)


async def test_a_nursery_that_hangs_is_replaced(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        await it.on_air()
        old = it.nursery.pid
        assert old is not None
        os.kill(old, signal.SIGSTOP)
        it.plan("r2")
        began = time.monotonic()
        it.supervisor.spawn(2, "r2", resume=False)
        await it.until(lambda: len(it.of(PlayoutStarted)) == 2)
        assert time.monotonic() - began < 2 * ROOM
        await it.gone(old)
        await it.until((tmp_path / "r2" / "control.sock").exists)
        found = procfs.playouts_under(tmp_path)
        assert {path.name: len(pids) for path, pids in found.items()} == {"r1": 1, "r2": 1}, "not two of one"


async def test_without_a_nursery_that_answers_it_begins_afresh(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "FIRST_ANSWER_SECONDS", 0.1)
    for command in (DEAF, GONE, (sys.executable, "-c", "")):
        async with warm(tmp_path, command=command) as it:
            pid = await it.on_air()
            assert it.supervisor._playouts["r1"].child is not None
            os.kill(pid, signal.SIGKILL)
            await it.until(lambda it=it: it.of(PlayoutExited))
            (it.run_dir / "control.sock").unlink()


async def test_a_child_whose_answer_comes_too_late_does_not_begin(tmp_path: Path, monkeypatch) -> None:
    """The agent gave up and began the playout itself: there must not be two."""
    nursery = Nursery()
    nursery.warm_up()
    run_dir = tmp_path / "r1"
    run_dir.mkdir()
    process = nursery._process
    assert process is not None
    process.line.send(json.dumps({"run_dir": str(run_dir), "resume": False}).encode())
    process.line.shutdown(0)
    async with asyncio.timeout(5 * ROOM):
        while not (run_dir / "run.log").exists():
            await asyncio.sleep(0.01)
        while procfs.playouts_under(tmp_path):
            await asyncio.sleep(0.01)
    nursery.close()
    assert (run_dir / "run.log").read_text() == ""


async def test_a_run_whose_directory_is_gone_is_an_exit(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        it.supervisor.spawn(3, "never", resume=False)
        await it.until(lambda: it.of(PlayoutExited))
        assert it.of(PlayoutExited)[0].pid is None
        assert not it.of(PlayoutStarted)


async def test_a_signal_reaches_one_that_is_still_coming(tmp_path: Path) -> None:
    async with warm(tmp_path) as it:
        it.plan()
        it.supervisor.spawn(1, "r1", resume=False)
        it.supervisor.signal("r1", signal.SIGKILL)
        await it.until(lambda: it.of(PlayoutExited))
        assert it.of(PlayoutExited) == [PlayoutExited(1, "r1", it.pid, None)]


async def test_many_at_once_are_cheap(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(8)]
    with NginxRtmp(application="record off;") as server:
        async with warm(tmp_path) as it:
            for number, name in enumerate(names):
                it.plan(name, destinations=[destination(each, server.url, f"{name}-{each}") for each in (1, 2)])
                it.supervisor.spawn(number, name, resume=False)
            await it.until(lambda: sum(_lives(it, name) for name in names) == 8, 20)
            pids = [each.pid for each in it.of(PlayoutStarted)]
            assert len(set(pids)) == 8
            mean = (sum(map(pss_mb, pids)) + pss_mb(it.nursery.pid or 0)) / 8
            assert mean < MOST_MB, f"{mean:.1f} MB a stream"
            assert not it.of(PlayoutExited)


def _lives(it: Warm, run_id: str) -> bool:
    states = [
        each.playing.destinations
        for each in it.events
        if getattr(each, "run_id", "") == run_id and hasattr(each, "playing")
    ]
    return bool(states) and all(each.state == "live" for each in states[-1])
