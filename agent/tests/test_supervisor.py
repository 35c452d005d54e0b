"""Looking after real child processes: they begin, are adopted, are asked, made to go, and seen to go."""

# ruff: noqa: ASYNC110, ASYNC240 - waiting for conditions of real processes

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agent import procfs
from agent.actions import Steer
from agent.events import Event, PlayoutExited, PlayoutHung, PlayoutStarted, PlayoutStatus, SteerAnswered
from agent.supervisor import Supervisor
from lab.processes import ROOM

FAKE = (sys.executable, str(Path(__file__).with_name("fake_playout.py")))


class Scene:
    def __init__(self, tmp_path: Path, command: tuple[str, ...] = FAKE, manners: str = "") -> None:
        self.events: list[Event] = []
        self.supervisor = Supervisor(tmp_path, self.events.append, command)
        self.children: list[subprocess.Popen[bytes]] = []
        self.numbers = itertools.count(1)
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

    def steer(self, order: str, item_id: int | None = None) -> str:
        order_id = f"o{next(self.numbers)}"
        self.supervisor.steer(Steer(1, "r1", order_id, order, item_id))
        return order_id

    async def answer_to(self, order_id: str) -> SteerAnswered:
        await self.until(lambda: any(each.order_id == order_id for each in self.of(SteerAnswered)))
        return next(each for each in self.of(SteerAnswered) if each.order_id == order_id)

    def orders(self) -> list[str]:
        path = self.run_dir / "orders"
        return path.read_text().splitlines() if path.exists() else []

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


def test_one_that_does_not_even_greet_any_more_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.playout_link.SILENCE_SECONDS", 0.3)

    async def run() -> None:
        async with scene(tmp_path) as it:
            pid = await it.begin()
            await it.until(lambda: len(it.of(PlayoutStatus)) > 2)
            assert not it.of(PlayoutHung), "this one greets whoever connects, and says no more"
            os.kill(pid, signal.SIGSTOP)
            await it.until(lambda: it.of(PlayoutHung))
            assert it.of(PlayoutHung)[0] == PlayoutHung(1, "r1", pid)

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
            reloads = it.run_dir / "orders"
            await it.until(reloads.exists)
            before = reloads.stat().st_size
            it.supervisor.write_plan("r1", {"items": [2]})
            await it.until(lambda: reloads.stat().st_size > before)

    asyncio.run(run())


def test_orders_and_plans_are_carried_out_in_the_order_they_came(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            await it.begin()
            await it.until(it.orders)
            it.supervisor.write_plan("r1", {"items": [3]})
            first = it.steer("play_next", 3)
            it.supervisor.write_plan("r1", {"items": [2, 3]})
            it.supervisor.write_plan("r1", {"items": [2, 3, 4]})
            last = it.steer("jump", 404)
            assert await it.answer_to(first) == SteerAnswered(1, "r1", first, True, "", 3)
            words = "there is no such item in the list"
            assert await it.answer_to(last) == SteerAnswered(1, "r1", last, False, words, None)
            assert it.orders()[-4:] == ["reload", "play_next 3", "reload", "jump 404"]

    asyncio.run(run())


def test_an_order_given_before_the_playout_listens_reaches_it_after_its_plan(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            it.spawn()
            it.supervisor.write_plan("r1", {"items": [3]})
            order = it.steer("play_next", 3)
            await it.answer_to(order)
            await it.until(it.orders)
            assert it.orders()[0] == "reload"

    asyncio.run(run())


def test_a_playout_that_does_not_answer_is_said_within_a_second_and_can_still_be_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path, manners="mute") as it:
            await it.begin()
            began = time.monotonic()
            answers = [await it.answer_to(order) for order in [it.steer("next"), it.steer("pause")]]
            assert time.monotonic() - began < 1 * ROOM
            assert [(each.ok, each.message) for each in answers] == [(False, "the playout did not answer")] * 2
            assert not {"next", "pause"} & set(it.orders()), "nobody waits for them any more"
            it.supervisor.ask_to_stop("r1")
            await it.until(lambda: it.of(PlayoutExited), 2.0)

    asyncio.run(run())


def test_an_order_for_nobody_is_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with scene(tmp_path) as it:
            answer = await it.answer_to(it.steer("next"))
            assert (answer.ok, answer.message) == (False, "nothing is on air at the moment")

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
            assert (await second.answer_to(second.steer("jump", 2))).item_id == 2
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
