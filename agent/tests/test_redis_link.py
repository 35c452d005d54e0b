"""The link to a real Redis: coalesced heartbeats, nothing said is lost in an outage, for ever again."""

# ruff: noqa: ASYNC110 - waiting for conditions of a real server

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.exceptions import AuthenticationError, NoPermissionError

from agent import redis_link
from agent.protocol import Command, Heartbeat, Load, Ping, StreamProgress, StreamStatus, encode
from agent.redis_link import OUTBOX, RedisLink, waits, why
from agent.tests.servers import Ear, RedisServer
from lab.processes import ROOM


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Scene:
    def __init__(self, url: str) -> None:
        self.commands: list[Command] = []
        self.beats = 0
        self.bugs = 0
        self.link = RedisLink(url, 7, self.commands.append, self.beat, self.broke)

    def beat(self) -> Heartbeat:
        self.beats += 1
        return Heartbeat(vps_id=7, timestamp=0.0, agent_version="1", load=Load(cpu=0.0, memory=0.0, disk=0.0))

    def broke(self) -> None:
        self.bugs += 1

    async def until(self, condition: Callable[[], object], limit_s: float = 8.0) -> None:
        async with asyncio.timeout(limit_s * ROOM):
            while not condition():
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def scene(url: str) -> AsyncIterator[Scene]:
    it = Scene(url)
    it.link.start()
    try:
        yield it
    finally:
        await it.link.close()


def status(message: str = "stopped") -> StreamStatus:
    return StreamStatus(stream_id=1, status="STOPPED", message=message, vps_id=7, timestamp=0.0, run_id="r")


def progress(percent: int) -> StreamProgress:
    return StreamProgress(
        stream_id=1, stage="downloading", progress=percent, message="", vps_id=7, timestamp=0.0, run_id="r"
    )


def test_many_changes_make_few_heartbeats(server: RedisServer) -> None:
    async def run() -> None:
        async with scene(server.url) as it:
            await it.until(lambda: it.beats)
            before = it.beats
            loop = asyncio.get_running_loop()
            end = loop.time() + 0.55
            while loop.time() < end:
                it.link.poke()
                await asyncio.sleep(0.002)
            assert 4 <= it.beats - before <= 7

    asyncio.run(run())


def test_a_unix_socket_does_too(server: RedisServer) -> None:
    async def run() -> None:
        async with scene(server.unix_url) as it:
            ear = Ear(server.url)
            await it.until(lambda: _pinged(ear, it))
            ear.close()

    asyncio.run(run())


def test_a_change_is_said_without_delay(server: RedisServer) -> None:
    async def run() -> None:
        async with scene(server.url) as it:
            await it.until(lambda: it.beats)
            await asyncio.sleep(redis_link.COALESCE_SECONDS)
            before = it.beats
            it.link.poke()
            await it.until(lambda: it.beats > before, 0.2)

    asyncio.run(run())


def test_what_is_said_in_an_outage_is_heard_after_it(server: RedisServer) -> None:
    async def run() -> None:
        async with scene(server.url) as it:
            await it.until(lambda: it.beats)
            server.stop()
            for number in range(3):
                it.link.publish(status(str(number)))
            await asyncio.sleep(0.3)
            server.start()
            ear = Ear(server.url)
            await asyncio.to_thread(ear.wait_for, lambda m: getattr(m, "message", "") == "2")
            said = [each for each in ear.heard if isinstance(each, StreamStatus)]
            assert [each.message for each in said] == ["0", "1", "2"]
            assert all(each.timestamp > 0 for each in said)
            await it.until(lambda: _pinged(ear, it))
            ear.close()
            assert not it.bugs

    asyncio.run(run())


def _pinged(ear: Ear, it: Scene) -> bool:
    ear.say(7, encode(Ping(timestamp=1.0)))
    return bool(it.commands)


def test_nonsense_is_counted_and_passed_over(server: RedisServer) -> None:
    async def run() -> None:
        async with scene(server.url) as it:
            ear = Ear(server.url)
            await it.until(lambda: _pinged(ear, it))
            ear.say(7, "{}")
            ear.say(7, "\ufffd")
            before = len(it.commands)
            ear.say(7, encode(Ping(timestamp=2.0)))
            await it.until(lambda: len(it.commands) > before)
            assert it.link.refused == 2
            ear.close()

    asyncio.run(run())


def test_too_much_to_say_drops_progress_first() -> None:
    async def run() -> None:
        it = Scene("redis://127.0.0.1:1/0")
        it.link.publish(status("first"))
        for number in range(OUTBOX + 50):
            it.link.publish(progress(number % 100))
        left = list(it.link._outbox)
        assert len(left) == OUTBOX
        assert left[0] == status("first")

    asyncio.run(run())


def test_a_bug_is_told(server: RedisServer) -> None:
    async def run() -> None:
        it = Scene(server.url)

        def broken() -> Heartbeat:
            raise KeyError("a bug")

        it.link._make_heartbeat = broken
        it.link.start()
        await it.until(lambda: it.bugs)
        await it.link.close(0.1)

    asyncio.run(run())


def test_waits_grow_and_spread() -> None:
    first, *_, last = [pause for pause, _ in zip(waits(), range(12), strict=False)]
    assert 0.1 <= first <= 0.25
    assert 2.5 <= last <= 5


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ssl.SSLCertVerificationError(1, "x"), "its certificate is not good"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "no TLS with it"),
        (AuthenticationError("WRONGPASS sesame"), "it does not take our user and password"),
        (NoPermissionError("NOPERM sesame"), "our user may not do this"),
        (ConnectionRefusedError(111, "sesame"), "nobody listens there"),
        (OSError("sesame"), "ConnectionError"),
    ],
)
def test_why_there_is_no_connection_is_told_in_words(error: Exception, words: str) -> None:
    wrapped = ConnectionError("sesame")
    wrapped.__cause__ = error
    assert why(wrapped).startswith(words)
    assert "sesame" not in why(wrapped)
