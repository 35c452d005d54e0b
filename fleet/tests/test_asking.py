"""Questions to agents: one that answers, one that is too old, one that is silent, one that is not there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
from django.conf import settings

from agent.protocol import Answered, Ping, Pong, Query, commands_channel, decode_command, encode, vps_channel
from fleet import asking
from fleet.errors import NoAnswer, TooOld
from lab.processes import wait_until
from streams.tests import build


@pytest.fixture
def vps(db):
    return build.vps()


@contextmanager
def agent(vps, queries: tuple[str, ...] = ("log",), answers: bool = True) -> Iterator[list]:
    """One that hears what `asked` then holds."""
    client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
    asked: list = []
    done = threading.Event()

    def live() -> None:
        with client.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe(commands_channel(vps.pk))
            while not done.is_set():
                raw = pubsub.get_message(timeout=0.05)
                if raw:
                    asked.append(decode_command(raw["data"]))
                    respond(asked[-1])

    def respond(command) -> None:
        client.publish(vps_channel(vps.pk), "{rubbish")
        if not answers:
            return
        if isinstance(command, Ping):
            pong = Pong(vps_id=vps.pk, timestamp=1, active_streams=3, ping_timestamp=command.timestamp, queries=queries)
            client.publish(vps_channel(vps.pk), encode(pong))
        elif isinstance(command, Query):
            for query_id, words in (("another's", "no"), (command.query_id, "yes")):
                found = Answered(
                    vps_id=vps.pk, timestamp=1, query_id=query_id, ok=True, message=words, lines=("a", "b")
                )
                client.publish(vps_channel(vps.pk), encode(found))

    thread = threading.Thread(target=live)
    thread.start()
    try:
        wait_until(lambda: client.pubsub_numsub(commands_channel(vps.pk))[0][1] > 0, "it listens")
        yield asked
    finally:
        done.set()
        thread.join(10)
        client.close()


def test_an_agent_answers(vps):
    with agent(vps) as asked:
        found = asking.ask(vps, "log", lines=7)
    assert (found.message, found.lines) == ("yes", ("a", "b"))
    assert (asked[1].what, asked[1].lines) == ("log", 7)


def test_a_ping_is_timed(vps):
    with agent(vps):
        found = asking.ping(vps)
    assert found.took_ms > 0
    assert (found.active_streams, found.queries) == (3, ("log",))


def test_one_that_is_too_old_is_known_at_once_and_not_bothered(vps):
    with agent(vps, queries=()) as asked, pytest.raises(TooOld, match="too old to say"):
        asking.ask(vps, "log")
    assert [type(each) for each in asked] == [Ping]


def test_one_that_is_silent_is_waited_for_as_long_as_was_said(vps):
    with agent(vps, answers=False), pytest.raises(NoAnswer, match="did not answer in time"):
        asking.ask(vps, "log", wait_s=0.3)


def test_one_that_is_not_there_is_not_waited_for(vps):
    with pytest.raises(NoAnswer, match="No agent listens"):
        asking.ask(vps, "log", wait_s=3600)
