import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from agent.protocol import DestinationState, RunReport
from streams import charting, samples
from streams.models import Run
from streams.samples import EVERY_S, KEPT, Sample, Sampler
from streams.tests import build
from streams.tests.pages import assert_login_wanted, browser

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def run_id():
    return str(uuid.uuid4())


def report(run_id, kbps=3000.0, state="live", lag_ms=0, phase="on_air", output=1):
    place = DestinationState(id=output, state=state, since=1.0, bitrate_kbps=kbps, lag_ms=lag_ms)
    return RunReport(stream_id=1, run_id=run_id, epoch=1, phase=phase, destinations=(place,))


def heard(run_id, *steps):
    """Seconds after noon and what was reported then, by one listener."""
    sampler = Sampler()
    for seconds, given in steps:
        sampler.take(given, NOON + timedelta(seconds=seconds))
    sampler.write()
    return samples.curves(run_id)


def test_one_sample_in_ten_seconds_with_gaps_where_nothing_was_heard(run_id):
    curves = heard(
        run_id,
        (0, report(run_id, 1000.0)),
        (5, report(run_id, 2000.0)),
        (12, report(run_id, 3000.0, lag_ms=400)),
        (41, report(run_id, 0.0, state="reconnecting")),
    )
    noon = int(NOON.timestamp())
    assert curves.moments == tuple(noon + EVERY_S * n for n in range(5))
    [line] = curves.series
    assert line.kbps == (1000.0, 3000.0, None, None, 0.0)
    assert line.lag_ms == (0, 400, None, None, None)


def test_two_listeners_keep_one_sample(run_id):
    for _listener in range(2):
        curves = heard(run_id, (0, report(run_id)))
    assert len(curves.moments) == 1


def test_what_is_not_on_air_is_no_sample(run_id):
    assert heard(run_id, (0, report(run_id, phase="backing_off"))).moments == ()


def test_it_is_capped_and_expires(run_id):
    at = int(NOON.timestamp())
    samples.keep(Sample(run_id, at + EVERY_S * n, {"1": [n, 0]}) for n in range(KEPT + 30))
    curves = samples.curves(run_id)
    assert len(curves.moments) == KEPT
    assert curves.series[0].kbps[-1] == KEPT + 29
    with redis.Redis.from_url(settings.AGENT_REDIS_URL) as client:
        assert client.zcard(f"samples:{run_id}") == KEPT
        assert 0 < client.ttl(f"samples:{run_id}") <= samples.EXPIRES_S


def test_a_clock_that_jumped_makes_no_endless_grid(run_id):
    at = int(NOON.timestamp())
    samples.keep([Sample(run_id, at, {"1": [1, 0]}), Sample(run_id, at + 10**9, {"1": [2, 0]})])
    assert len(samples.curves(run_id).moments) == KEPT


def test_in_words(stream, vps):
    run = build.running(stream, vps)
    one = stream.outputs.first()
    states = [("live", 2000.0, 0), ("live", 4000.0, 900), ("reconnecting", 0.0, 0)]
    sampler = Sampler()
    for number, (state, kbps, lag) in enumerate(states):
        given = report(str(run.pk), kbps, state, lag, output=one.pk)
        sampler.take(given, NOON + timedelta(seconds=10 * number))
    sampler.write()
    [line] = charting.of_run(run).lines
    assert (line.name, line.kbps_now, line.kbps_mean) == ("place 0", 0.0, 3000.0)
    assert (line.kbps_least, line.kbps_most, line.lag_most_ms) == (2000.0, 4000.0, 900)


def test_the_address_of_the_charts(stream, vps, alice, bob, operator):
    run = build.running(stream, vps)
    address = reverse("streams:samples", args=[stream.pk])
    assert_login_wanted(address)
    assert browser(bob).get(address).status_code == 404
    assert browser(alice).get(address).json()["moments"] == []
    at = int(timezone.now().timestamp()) // 10 * 10
    samples.keep([Sample(str(run.pk), at, {str(stream.outputs.first().pk): [1500.0, 20]})])
    for user in (alice, operator):
        found = browser(user).get(address)
        assert found["Cache-Control"] == "private, no-store"
        assert found.json()["moments"] == [at]
        [line] = found.json()["lines"]
        assert (line["name"], line["kbps"], line["lag_ms"]) == ("place 0", [1500.0], [20])
        assert line["words"] == ["1.5 Mbit/s", "1.5 Mbit/s", "1.5 Mbit/s", "1.5 Mbit/s", "20 ms"]


def test_the_charts_of_a_run_that_is_over(stream, vps, alice):
    run = build.running(stream, vps)
    samples.keep([Sample(str(run.pk), 1_700_000_000, {"999": [1500.0, 20]})])
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now())
    build.starting_run(build.stream(alice, "other"))
    found = browser(alice).get(reverse("streams:samples", args=[stream.pk]) + f"?run={run.pk}").json()
    assert found["lines"][0]["name"] == "a destination that has left"
    for wrong in ("nonsense", uuid.uuid4()):
        assert browser(alice).get(reverse("streams:samples", args=[stream.pk]) + f"?run={wrong}").status_code == 404


def test_a_dump_is_small(run_id):
    """Two hours of twenty destinations stay under half a megabyte on the wire."""
    places = {str(n): [3000.5, 120] for n in range(20)}
    samples.keep(Sample(run_id, 1_700_000_000 + EVERY_S * n, places) for n in range(KEPT))
    curves = samples.curves(run_id)
    assert len(json.dumps([[each.kbps, each.lag_ms] for each in curves.series])) < 500_000
