"""Operators' questions: what is found, and that no question holds anything up."""

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import actions, census, events
from agent.inquiries import BROKEN, BUSY, MOST, TOO_LONG, Found, Inquiries
from agent.log import KEPT, JsonFormatter, Recent, Redactor
from agent.looks import Looks
from agent.nginx import NONE_HERE, Nginx
from agent.nginx_program import Program
from agent.playout.tests.servers import NGINX
from agent.procfs import Stat
from agent.protocol import QUERIES, Answered, ProcessFacts, Query
from agent.tests.histories import History
from agent.tests.local_nginx import LocalNginx
from lab.processes import ROOM

# ruff: noqa: ASYNC110 - waiting for tasks to come to their end


def asked(number: int = 1, what: str = "log", lines: int = 100) -> actions.Inquire:
    return actions.Inquire(f"q{number}", what, lines)


# ------------------------------------------------------------------------------------------------ deciding


@pytest.mark.parametrize("what", QUERIES)
def test_a_question_that_is_known_is_looked_into_and_answered(what: str) -> None:
    history = History()
    history.tell(Query(query_id="q1", what=what, timestamp=1.0, lines=7))
    assert history.of(actions.Inquire) == [actions.Inquire("q1", what, 7)]
    facts = ProcessFacts(pid=5, kind="ffmpeg", cpu=1.0, memory=2, age_s=3.0)
    history.tell(events.Inquired("q1", True, "done", (facts,), ("line",)))
    (publish,) = history.of(actions.Publish)
    assert publish.message == Answered(
        vps_id=7, timestamp=history.now, query_id="q1", ok=True, message="done", processes=(facts,), lines=("line",)
    )


def test_a_question_of_a_newer_control_plane_is_answered_in_words() -> None:
    history = History()
    history.tell(Query(query_id="q1", what="weather", timestamp=1.0))
    assert not history.of(actions.Inquire)
    (publish,) = history.of(actions.Publish)
    assert (publish.message.query_id, publish.message.ok) == ("q1", False)
    assert "does not know" in publish.message.message


# ------------------------------------------------------------------------------------------------ looking


class Scene:
    def __init__(self, look, within_s: float = 10.0) -> None:
        self.events: list[events.Inquired] = []
        self.inquiries = Inquiries({"log": look}, self.events.append, within_s)

    async def until(self, count: int) -> list[events.Inquired]:
        async with asyncio.timeout(5 * ROOM):
            while len(self.events) < count:
                await asyncio.sleep(0)
        return self.events


async def test_one_that_takes_too_long_is_given_up() -> None:
    async def look(_) -> Found:
        await asyncio.Event().wait()
        return BUSY

    it = Scene(look, within_s=0.05)
    it.inquiries.begin(asked())
    assert await it.until(1) == [events.Inquired("q1", False, TOO_LONG.message)]


async def test_more_than_a_few_at_once_are_told_to_wait() -> None:
    go = asyncio.Event()

    async def look(_) -> Found:
        await go.wait()
        return Found(True, "done")

    it = Scene(look)
    for number in range(MOST + 1):
        it.inquiries.begin(asked(number))
    assert it.events == [events.Inquired(f"q{MOST}", False, BUSY.message)]
    go.set()
    assert sum(each.ok for each in await it.until(MOST + 1)) == MOST


async def test_a_bug_is_the_end_of_one_question() -> None:
    async def look(_) -> Found:
        raise KeyError("sesame")

    it = Scene(look)
    it.inquiries.begin(asked())
    assert await it.until(1) == [events.Inquired("q1", False, BROKEN.message)]


async def test_closing_ends_them() -> None:
    async def look(_) -> Found:
        await asyncio.Event().wait()
        return BUSY

    it = Scene(look)
    it.inquiries.begin(asked())
    await asyncio.sleep(0)
    await it.inquiries.close()
    assert it.events == []


# ------------------------------------------------------------------------------------------------ processes


def test_whom_a_process_serves_follows_from_its_parents() -> None:
    def stat(parent: int) -> Stat:
        return Stat(parent, 1, 1, 1)

    everybody = {1: stat(0), 10: stat(1), 20: stat(10), 21: stat(20), 22: stat(21), 30: stat(10), 99: stat(98)}
    found = census.belonging(everybody, {10: "", 20: "run-1"})
    assert found == {10: "", 20: "run-1", 21: "run-1", 22: "run-1", 30: ""}


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


async def test_our_processes_are_found_with_what_they_use(busy: subprocess.Popen[bytes], tmp_path: Path) -> None:
    found = await census.look(tmp_path, between_s=0.3)
    by_pid = {each.pid: each for each in found}
    assert by_pid[os.getpid()].kind == "agent"
    child = by_pid[busy.pid]
    assert child.kind == "other"
    assert child.cpu > 1
    assert child.memory > 1_000_000
    assert 0 <= child.age_s < 60


# ------------------------------------------------------------------------------------------------ nginx, log


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalNginx]:
    with LocalNginx(tmp_path / "nginx") as nginx:
        yield nginx


def looks(local: LocalNginx | None, tmp_path: Path, recent: Recent | None = None) -> Looks:
    port = local.port if local else 1935
    nginx = Nginx(Program(NGINX, port), local.conf if local else None, lambda _: None)
    return Looks(tmp_path, nginx, port, recent or Recent())


async def test_an_nginx_that_is_well(local: LocalNginx, tmp_path: Path) -> None:
    found = await looks(local, tmp_path).nginx(asked())
    assert found == Found(True, f"nginx takes its configuration and answers on port {local.port}")
    assert not list(local.conf.parent.glob(".check-*"))


async def test_an_nginx_that_is_not_running_or_would_not_start(local: LocalNginx, tmp_path: Path) -> None:
    local.stop()
    found = await looks(local, tmp_path).nginx(asked())
    assert (found.ok, "nothing answers" in found.message) == (False, True)
    local.conf.write_text(local.conf.read_text() + "nonsense;\n")
    found = await looks(local, tmp_path).nginx(asked())
    assert not found.ok
    assert found.message.startswith('nginx refuses: unknown directive "nonsense"')


async def test_a_server_without_nginx(tmp_path: Path) -> None:
    assert await looks(None, tmp_path).nginx(asked()) == Found(False, NONE_HERE)


async def test_the_last_lines_are_told_without_secrets(tmp_path: Path) -> None:
    redactor, recent = Redactor(), Recent()
    redactor.learn("r1", ("sesame-key",))
    recent.setFormatter(JsonFormatter(redactor))
    for number in range(KEPT + 5):
        recent.handle(logging.LogRecord("a", logging.INFO, "f", 1, f"sesame-key {number}", (), None))
    found = await looks(None, tmp_path, recent).log(asked(lines=2))
    assert [line.partition('"message": ')[2] for line in found.lines] == [
        f'"••• {KEPT + 3}"}}',
        f'"••• {KEPT + 4}"}}',
    ]
    assert len((await looks(None, tmp_path, recent).log(asked(lines=10**6))).lines) == KEPT
    assert (await looks(None, tmp_path, recent).log(asked(lines=0))).lines == ()
