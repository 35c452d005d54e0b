"""What Prometheus reads: from the database, from Redis, and from every process of the machine."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis
from django.conf import settings as live_settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from kit import metrics
from ops.models import Job, Process
from streams.tests import build

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "t0ken-for-tests"
COUNT = "from kit import metrics; metrics.HTTP_REQUESTS.labels('GET', 'counted-elsewhere', '200').inc(3)"


@pytest.fixture
def figures(settings, db):
    settings.METRICS_TOKEN = TOKEN

    def read() -> dict[tuple[str, ...], float]:
        answer = Client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.content.decode())
        samples = (sample for family in families for sample in family.samples)
        return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}

    return read


def count_in_another_process(times: int = 1) -> None:
    for _ in range(times):
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-v", "0", "-c", COUNT]
        subprocess.run(command, cwd=ROOT, check=True)


def test_without_a_token_there_is_no_such_page(db, client):
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer x"}).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ÿ"])
def test_who_has_another_token_is_refused(db, client, settings, header):
    settings.METRICS_TOKEN = TOKEN
    assert client.get("/metrics", headers={"Authorization": header}).status_code == 401


def test_an_operator_needs_no_token_and_a_user_has_none(client_of, alice, operator):
    assert client_of(operator).get("/metrics").status_code == 200
    assert client_of(alice).get("/metrics").status_code == 404


def test_what_the_database_knows(figures, alice):
    build.stream(alice)
    build.running(build.stream(alice), build.vps())
    build.vps("full", unhealthy="disk 97 % full")
    build.vps("gone", last_heartbeat_at=build.ago(3600))
    Process.objects.create(kind="worker", instance="w", seen_at=build.ago(30))
    Job.objects.create(name="tidy", next_run_at=build.ago(100), last_succeeded=False, last_duration_s=1.5)
    found = figures()
    assert found["ezstream_streams", "STREAMING"] == found["ezstream_streams", "INACTIVE"] == 1
    assert found["ezstream_vpses", "ACTIVE"] == 3
    assert [found["ezstream_vps_health", kind] for kind in ("well", "unhealthy", "silent")] == [1, 1, 1]
    assert (found["ezstream_slots", "held"], found["ezstream_slots", "all"]) == (1, 12)
    assert found["ezstream_process_seen_seconds_ago", "worker"] == pytest.approx(30, abs=10)
    assert (found["ezstream_job_last_ok", "tidy"], found["ezstream_job_last_seconds", "tidy"]) == (0, 1.5)
    assert found["ezstream_job_late_seconds", "tidy"] == pytest.approx(100, abs=10)
    assert found["ezstream_up", "database"] == 1


def test_how_deep_the_queues_are(figures):
    with redis.Redis.from_url(live_settings.REDIS_URL) as client:
        client.rpush("dramatiq:media", "a", "b")
        assert figures()["ezstream_queue", "media", "waiting"] == 2
        client.delete("dramatiq:media")


def test_a_redis_away_leaves_the_rest(figures, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    found = figures()
    assert (found["ezstream_up", "redis"], found["ezstream_up", "database"]) == (0, 1)
    assert ("ezstream_queue", "media", "waiting") not in found


def test_requests_are_counted_by_view_and_status(figures, client):
    name = ("ezstream_http_requests_total", "200", "GET", "health")
    before = figures().get(name, 0)
    client.get("/health")
    client.get("/health")
    client.get("/nonsense/1234")
    found = figures()
    assert found[name] == before + 2
    assert found["ezstream_http_request_seconds_count", "health"] == before + 2
    assert not any("1234" in label for key in found for label in key)


def test_other_processes_count_too_and_still_do_when_they_are_gone(figures):
    name = ("ezstream_http_requests_total", "200", "GET", "counted-elsewhere")
    before = figures().get(name, 0)
    count_in_another_process()
    assert figures()[name] == before + 3


def test_what_the_dead_counted_is_folded_into_one_file(figures, monkeypatch):
    monkeypatch.setattr(metrics, "FOLD_ABOVE", 1)
    name = ("ezstream_http_requests_total", "200", "GET", "counted-elsewhere")
    figures()
    before = figures().get(name, 0)
    count_in_another_process(2)
    directory = live_settings.METRICS_DIR
    many = len(list(directory.glob("counter_*.db")))
    assert figures()[name] == before + 6
    assert len(list(directory.glob("counter_*.db"))) < many
    assert figures()[name] == before + 6


def test_a_running_count_is_followed():
    followed = metrics.Followed(metrics.LISTENER_MESSAGES)
    child = metrics.LISTENER_MESSAGES.labels("for-a-test")
    for count in (2, 2, 5):
        followed.look({"for-a-test": count})
    assert child._value.get() == 5
