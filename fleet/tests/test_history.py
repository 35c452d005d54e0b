"""Load by the minute: gathered, kept in a ring, read back with its gaps."""

from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.conf import settings

from agent.protocol import Heartbeat, Load
from fleet import history
from fleet.history import KEPT, Reading
from fleet.minutes import Minutes
from streams.tests import build

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def reading(cpu: float = 10.0, **more) -> Reading:
    return Reading(**({"cpu": cpu, "memory": 20.0, "disk": 30.0, "mbit": 40.0, "streams": 2} | more))


def keep(vps_id: int, at: datetime, cpu: float = 10.0) -> None:
    history.keep({history.minute_of(at): {vps_id: reading(cpu)}})


def cpus(vps_id: int, minutes: int, now: datetime) -> list[float | None]:
    curve = history.curves([vps_id], minutes, now)[vps_id]
    assert curve.first_minute == history.minute_of(now) - minutes + 1
    return [each and each.cpu for each in curve.readings]


@pytest.fixture
def vps_id():
    yield 7
    redis.Redis.from_url(settings.AGENT_REDIS_URL).delete("load:7")


def test_the_last_minutes_come_back_with_gaps_where_nothing_was_heard(vps_id):
    for minutes_ago, cpu in ((4, 40.0), (3, 30.0), (1, 10.0)):
        keep(vps_id, NOON - minutes_ago * MINUTE, cpu)
    assert cpus(vps_id, 6, NOON) == [None, 40.0, 30.0, None, 10.0, None]
    assert cpus(8, 3, NOON) == [None, None, None]


@pytest.mark.parametrize("past_the_end", range(-3, 4))
def test_it_goes_round(vps_id, past_the_end):
    """Whatever part of an hour lies on which side of the ring's end."""
    now = datetime.fromtimestamp((history.minute_of(NOON) // KEPT * KEPT + past_the_end) * 60, UTC)
    for minutes_ago in range(6):
        keep(vps_id, now - minutes_ago * MINUTE, minutes_ago)
    assert cpus(vps_id, 6, now) == [5, 4, 3, 2, 1, 0]


def test_what_a_day_ago_stood_in_the_same_place_is_not_taken_for_today(vps_id):
    keep(vps_id, NOON - timedelta(days=1), 99.0)
    assert cpus(vps_id, 2, NOON) == [None, None]
    keep(vps_id, NOON, 1.0)
    assert cpus(vps_id, 2, NOON) == [None, 1.0]


def test_the_same_minute_twice_is_one_and_a_day_is_small(vps_id):
    for minutes_ago in range(KEPT + 50):
        keep(vps_id, NOON - minutes_ago * MINUTE)
        if minutes_ago % 100 == 0:
            keep(vps_id, NOON - minutes_ago * MINUTE)
    client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
    assert client.strlen("load:7") == KEPT * 14
    assert 0 < client.ttl("load:7") <= history.EXPIRES_S


def test_numbers_out_of_bounds_are_held_in_them(vps_id):
    history.keep({history.minute_of(NOON): {vps_id: reading(mbit=1e9, streams=10**6)}})
    (kept,) = history.curves([vps_id], 1, NOON)[vps_id].readings
    assert kept is not None
    assert kept.mbit == pytest.approx(history.MOST_MBIT, rel=0.01)
    assert kept.streams == 65_535


# ------------------------------------------------------------------------------------------------ by the minute


def beat(vps_id: int = 7, cpu: float = 10.0, mbit: float = 4.0, runs: int = 0) -> Heartbeat:
    load = Load(cpu=cpu, memory=50.0, disk=60.0, network_mbit=mbit)
    return Heartbeat(vps_id=vps_id, timestamp=1.0, agent_version="1", load=load, runs=(None,) * runs)


def test_a_minute_is_the_mean_of_its_heartbeats_and_closed_when_it_is_over(db):
    minutes = Minutes()
    for second, cpu in ((0, 10.0), (20, 20.0), (40, 60.0)):
        minutes.take(beat(cpu=cpu, mbit=cpu / 10, runs=3), NOON + timedelta(seconds=second))
    assert minutes.close(NOON + timedelta(seconds=59)) == {}
    minutes.take(beat(cpu=99.0), NOON + MINUTE)
    closed = minutes.close(NOON + MINUTE)
    assert closed == {history.minute_of(NOON): {7: Reading(pytest.approx(30), 50, 60, pytest.approx(3), 3)}}
    assert minutes.close(NOON + MINUTE) == {}
    assert minutes.close(NOON + 2 * MINUTE) == {history.minute_of(NOON + MINUTE): {7: Reading(99, 50, 60, 4, 0)}}


def test_what_an_agent_makes_up_is_held_in_bounds(db):
    minutes = Minutes()
    minutes.take(beat(cpu=-5.0, mbit=1e300), NOON)
    (kept,) = minutes.close(NOON + MINUTE).values()
    assert (kept[7].cpu, kept[7].mbit) == (0.0, history.MOST_MBIT)


def test_a_thousand_vpses_cost_as_many_queries_as_one(db, django_assert_max_num_queries):
    minutes = Minutes()
    fleet = [build.vps(f"v{number}") for number in range(3)]
    for number in range(1000):
        minutes.take(beat(fleet[number % 3].pk), NOON)
    with django_assert_max_num_queries(8):
        minutes.close(NOON + MINUTE)
