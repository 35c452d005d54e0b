import json
import threading
import time

import pytest
import redis
from django.conf import settings

from agent.protocol import DestinationTested, Steered
from fleet import answers


@pytest.fixture
def wire():
    with redis.Redis.from_url(settings.AGENT_REDIS_URL) as client:
        yield client


def steered(order_id, **fields):
    values = {"vps_id": 1, "timestamp": 1.0, "stream_id": 2, "run_id": "r", "order_id": order_id, "ok": True} | fields
    return Steered(**values)


def test_an_answer_reaches_who_waits_for_it():
    asked = answers.new_id()
    threading.Timer(0.05, answers.forward, [steered(asked, item_id=7)]).start()
    assert answers.wait(asked, 10, vps_id=1, run_id="r")["item_id"] == 7


def test_an_answer_may_come_before_anybody_waits():
    asked = answers.new_id()
    tested = DestinationTested(vps_id=1, timestamp=1.0, test_id=asked, state="ok", message="", took_ms=3)
    assert answers.forward(tested)
    assert answers.wait(asked, 10)["took_ms"] == 3


def test_without_an_answer_it_waits_no_longer_than_told():
    began = time.monotonic()
    assert answers.wait(answers.new_id(), 0.1) is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("forged", [{"vps_id": 9}, {"run_id": "other"}])
def test_nobody_answers_in_anothers_place(forged):
    asked = answers.new_id()
    answers.forward(steered(asked, **forged))
    answers.forward(steered(asked, item_id=7))
    assert answers.wait(asked, 10, vps_id=1, run_id="r")["item_id"] == 7
    answers.forward(steered(asked, **forged))
    assert answers.wait(asked, 0.1, vps_id=1, run_id="r") is None


@pytest.mark.parametrize("asked", ["", "x", "../../etc", "a" * 10_000, "{00000000-0000-0000-0000-000000000000}"])
def test_what_nobody_can_have_asked_fills_no_redis(wire, asked):
    before = wire.dbsize()
    assert not answers.forward(steered(asked))
    assert wire.dbsize() == before


def test_an_endless_answer_is_none(wire):
    asked = answers.new_id()
    assert not answers.forward(steered(asked, message="x" * 10_000))
    assert not wire.exists(f"answers:{asked}")


def test_an_answer_nobody_takes_goes_by_itself(wire):
    asked = answers.new_id()
    answers.forward(steered(asked))
    assert 0 < wire.ttl(f"answers:{asked}") <= answers.KEPT_S
    assert json.loads(wire.lindex(f"answers:{asked}", 0))["order_id"] == asked
