"""Tests of destinations: one by one, with limits, whatever the session does."""

import asyncio

from agent.actions import Try
from agent.events import TrialEnded
from agent.playout.plan import Destination
from agent.playout.trial import Trial
from agent.protocol import PushUrl
from agent.trials import BUSY, MOST, Trials
from lab.processes import ROOM

# ruff: noqa: ASYNC110 - waiting for tasks to come to their end


def outcome(state: str = "ok", message: str = "", took_ms: int = 5) -> Trial:
    return Trial(state, message, took_ms)


def wanted(number: int = 1, key: str = "s3cret-key", via: str = "native") -> Try:
    push = PushUrl(id=0, name="test", url="rtmp://place.example/live", key=key, via=via)
    return Try(f"t{number}", push)


class Scene:
    def __init__(self, attempt, within_s: float = 10.0) -> None:
        self.events: list[TrialEnded] = []
        self.trials = Trials(attempt, self.events.append, within_s)

    async def until(self, count: int) -> list[TrialEnded]:
        async with asyncio.timeout(5 * ROOM):
            while len(self.events) < count:
                await asyncio.sleep(0)
        return self.events


async def test_the_outcome_is_told_without_the_key() -> None:
    seen: list[Destination] = []

    async def attempt(place: Destination) -> Trial:
        seen.append(place)
        return outcome("refused", "the server says: s3cret-key is in use", 7)

    it = Scene(attempt)
    it.trials.begin(wanted(via="ffmpeg"))
    assert await it.until(1) == [TrialEnded("t1", "refused", "the server says: ••• is in use", 7)]
    (place,) = seen
    assert (place.url, place.key.reveal(), place.via) == ("rtmp://place.example/live", "s3cret-key", "ffmpeg")


async def test_one_that_takes_too_long_is_unreachable() -> None:
    async def attempt(_: Destination) -> Trial:
        await asyncio.Event().wait()
        return outcome()

    it = Scene(attempt, within_s=0.05)
    it.trials.begin(wanted())
    assert await it.until(1) == [TrialEnded("t1", "unreachable", "it did not answer in time", 50)]


async def test_more_than_a_few_at_once_are_told_to_wait_and_the_same_one_is_one() -> None:
    go = asyncio.Event()
    begun: list[Destination] = []

    async def attempt(place: Destination) -> Trial:
        begun.append(place)
        await go.wait()
        return outcome()

    it = Scene(attempt)
    for number in range(MOST + 1):
        it.trials.begin(wanted(number))
        it.trials.begin(wanted(0))
    assert it.events == [TrialEnded(f"t{MOST}", "unreachable", BUSY, 0)]
    go.set()
    ended = await it.until(MOST + 1)
    assert sorted(each.test_id for each in ended) == sorted(f"t{number}" for number in range(MOST + 1))
    assert len(begun) == MOST
    await asyncio.sleep(0)
    it.trials.begin(wanted(MOST))
    assert (await it.until(MOST + 2))[-1].state == "ok"


async def test_a_bug_is_the_end_of_one_test() -> None:
    async def attempt(place: Destination) -> Trial:
        raise KeyError("s3cret-key")

    it = Scene(attempt)
    it.trials.begin(wanted())
    (ended,) = await it.until(1)
    assert (ended.state, "s3cret" in ended.message) == ("failed", False)


async def test_closing_ends_them() -> None:
    async def attempt(_: Destination) -> Trial:
        await asyncio.Event().wait()
        return outcome()

    it = Scene(attempt)
    it.trials.begin(wanted())
    await asyncio.sleep(0)
    await it.trials.close()
    assert it.events == []
