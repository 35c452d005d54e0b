"""Looking after real child processes: they begin, are adopted, are asked, made to go, and seen to go."""

# ruff: noqa: ASYNC110, ASYNC240 - waiting for conditions of real processes

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from agent import procfs
from agent.events import Event, PlayoutExited, PlayoutStarted, PlayoutStatus
from agent.supervisor import Supervisor
from lab.processes import ROOM

FAKE = (sys.executable, str(Path(__file__).with_name("fake_playout.py")))


class Scene:
    def __init__(self, tmp_path: Path, command: tuple[str, ...] = FAKE, manners: str = "") -> None:
        self.events: list[Event] = []
        self.supervisor = Supervisor(tmp_path, self.events.append, command)
        self.children: list[subprocess.Popen[bytes]] = []
        self.run_dir = tmp_path / "r1"
        self.run_dir.mkdir(exist_ok=True)
        if manners:
            (self.run_dir / "manners").write_text(manners)

    async def until(self, condition: Callable[[], object], limit_s: float = 5.0) -> None:
        async with asyncio.timeout(limit_s * ROOM):
            while not condition():
                await asyncio.sleep(0.01)

    def of(self, kind: type) -> list:
        return [each for each in self.events if isinstance(each, kind)]

    @property
    def pid(self) -> int:
        return self.of(PlayoutStarted)[-1].pid

    def spawn(self, *, resume: bool = False) -> None:
        self.supervisor.spawn(1, "r1", resume=resume)
        self.children += [each.child for each in self.supervisor._playouts.values() if each.child]

    async def begin(self, *, resume: bool = False) -> int:
        self.spawn(resume=resume)
        await self.until(lambda: self.of(PlayoutStatus))
        return self.pid


@contextlib.asynccontextmanager
async def scene(tmp_path: Path, **more) -> AsyncIterator[Scene]:
    it = Scene(tmp_path, **more)
    try:
        yield it
    finally:
        await it.supervisor.let_go()
        for child in it.children:
            child.kill()
            child.wait()


def test_a_playout_is_a_session_of_its_own_with_its_words_in_its_log(tmp_path: Path) -> None:
    async def run() -> None:
        os.environ["EZSTREAM_REDIS_URL"] = "redis://:word@nowhere"
        async with scene(tmp_path) as it:
            pid = await it.begin(resume=True)
            assert os.getsid(pid) == pid
            assert it.supervisor.tail("r1") == ("agent.playout says: hello resumed",)
            assert b"EZSTREAM_" not in Path(f"/proc/{pid}/environ").read_bytes()
        del os.environ["EZSTREAM_REDIS_URL"]

    asyncio.run(run())


def test_a_killed_playout_is_seen_within_a_second(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            pid = await it.begin()
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            await it.until(lambda: it.of(PlayoutExited), 1.0)
            assert it.of(PlayoutExited) == [PlayoutExited(1, "r1", pid, None)]
            assert time.monotonic() - began < 1 * ROOM
            assert not Path(f"/proc/{pid}").exists(), "no zombie"

    asyncio.run(run())


def test_what_it_says_at_its_end_is_heard(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, manners="finishes") as it:
            (it.run_dir / "exit.json").write_text('{"code": 0, "reason": "stopped"}')
            it.spawn()
            await it.until(lambda: it.of(PlayoutExited))
            assert it.of(PlayoutExited)[0].reason == "finished"

    asyncio.run(run())


def test_one_that_cannot_begin_is_an_exit(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, command=("/nonexistent/python",)) as it:
            it.spawn()
            assert it.events == [PlayoutExited(1, "r1", None, "it could not be started (No such file or directory)")]

    asyncio.run(run())


def test_asked_to_stop_it_stops(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.begin()
            it.supervisor.ask_to_stop("r1")
            await it.until(lambda: it.of(PlayoutExited), 2.0)
            assert it.of(PlayoutExited)[0].reason == "stopped"

    asyncio.run(run())


def test_asked_to_stop_before_it_listens_it_goes_too(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, command=(sys.executable, "-c", "import signal; signal.pause()")) as it:
            it.spawn()
            it.supervisor.ask_to_stop("r1")
            await it.until(lambda: it.of(PlayoutExited), 2.0)

    asyncio.run(run())


def test_one_that_ignores_everything_is_killed(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, manners="deaf") as it:
            await it.begin()
            it.supervisor.ask_to_stop("r1")
            it.supervisor.signal("r1", signal.SIGTERM)
            seen = len(it.of(PlayoutStatus))
            await it.until(lambda: not it.of(PlayoutExited) and len(it.of(PlayoutStatus)) >= seen)
            it.supervisor.signal("r1", signal.SIGKILL)
            await it.until(lambda: it.of(PlayoutExited), 1.0)

    asyncio.run(run())


def test_a_plan_is_told_also_when_it_was_written_before_anybody_listened(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            it.supervisor.write_plan("r1", {"items": []})
            assert (it.run_dir / "plan.json").stat().st_mode & 0o777 == 0o600
            it.spawn()
            it.supervisor.write_plan("r1", {"items": [1]})
            reloads = it.run_dir / "reloads"
            await it.until(reloads.exists)
            before = reloads.stat().st_size
            it.supervisor.write_plan("r1", {"items": [2]})
            await it.until(lambda: reloads.stat().st_size > before)

    asyncio.run(run())


def test_a_playout_outlives_its_supervisor_and_is_adopted(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as first:
            pid = await first.begin()
            ticks = procfs.start_ticks(pid)
            await first.supervisor.let_go()
            second = Scene(tmp_path)
            assert not second.supervisor.adopt(1, "r1", pid, ticks + 1), "another process of that number"
            assert second.supervisor.adopt(1, "r1", pid, ticks)
            await second.until(lambda: second.of(PlayoutStatus))
            second.supervisor.ask_to_stop("r1")
            await second.until(lambda: second.of(PlayoutExited), 2.0)
            assert second.of(PlayoutExited) == [PlayoutExited(1, "r1", pid, "stopped")]
            assert not second.supervisor.adopt(1, "r1", pid, ticks), "a zombie is dead"
            await second.supervisor.let_go()

    asyncio.run(run())


def test_a_long_log_is_put_aside_while_it_is_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("agent.supervisor.LONGEST_LOG", 10)

    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.begin()
            it.supervisor.rotate_logs()
            assert (it.run_dir / "run.log").stat().st_size == 0
            assert "hello" in (it.run_dir / "run.log.1").read_text()
            it.supervisor.append_log("r1", ("[FFMPEG] after",))
            assert it.supervisor.tail("r1") == ("[FFMPEG] after",)

    asyncio.run(run())


def test_what_is_over_leaves_only_its_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path / "runs") as it:
            it.supervisor.append_log("r1", ("last words",))
            it.supervisor.write_plan("r1", {"key": "secret"})
            it.supervisor.bury("r1")
        assert not list((tmp_path / "runs").iterdir())
        assert (tmp_path / "logs" / "r1.log").read_text() == "last words\n"

    (tmp_path / "runs").mkdir()
    asyncio.run(run())
