import socket
import threading
import time
from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from fleet.models import RedisUser
from ops import attention, health, processes
from ops.models import Process
from streams.tests import build

transactional = pytest.mark.django_db(transaction=True)
"""The database is asked from another thread, which sees what is committed."""
NAMES = ["database", "queue", "channels", "agents", *processes.KINDS]


def all_alive():
    for kind in processes.KINDS:
        processes.record(kind, "host:1")


def reasons(client):
    answer = client.get("/health/ready")
    body = answer.json()
    assert answer.status_code == (503 if body["reasons"] else 200)
    assert {name for name, well in body["checks"].items() if not well} == set(body["reasons"])
    return body["reasons"]


@pytest.fixture
def hanging():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_live_answers_without_a_database(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


@transactional
def test_ready_when_everything_was_seen(client):
    all_alive()
    build.running(build.stream(build.user()), build.vps())
    answer = client.get("/health/ready")
    body = answer.json()
    assert (answer.status_code, body["checks"]) == (200, dict.fromkeys(NAMES, True))
    assert (body["status"], body["reasons"], body["active_streams"]) == ("ok", {}, 1)
    assert body["uptime_s"] > 0


@transactional
@pytest.mark.parametrize("kind", processes.KINDS)
def test_a_process_not_seen_lately_is_named(client, kind):
    all_alive()
    Process.objects.create(kind=kind, instance="host:old", seen_at=timezone.now() - timedelta(hours=1))
    assert reasons(client) == {}
    Process.objects.filter(kind=kind).update(seen_at=timezone.now() - processes.FRESH - timedelta(seconds=1))
    assert reasons(client) == {kind: "not seen for 46 s"}
    Process.objects.filter(kind=kind).delete()
    assert reasons(client) == {kind: "never seen"}


@transactional
def test_tunnels_are_missed_where_a_vps_is_reached_by_one(client):
    all_alive()
    vps = build.vps(redis_by_tunnel=True)
    assert reasons(client) == {"tunnels": "never seen"}
    processes.record("tunnels", "host:1")
    assert client.get("/health/ready").json()["checks"]["tunnels"]
    Process.objects.filter(kind="tunnels").delete()
    RedisUser.objects.create(vps=vps, cut_off_at=timezone.now())
    assert reasons(client) == {}


def test_whatever_the_procfile_starts_is_missed_when_it_is_gone(settings):
    started = {line.partition(":")[0] for line in (settings.BASE_DIR / "Procfile").read_text().splitlines()}
    assert started - {"web"} == {*processes.KINDS, processes.TUNNELS} == set(attention.STARTS)


@transactional
@pytest.mark.parametrize(("since", "is_known"), [(-5, True), (5, False)])
def test_who_was_seen_before_a_restart_does_not_count(client, since, is_known):
    all_alive()
    answer = client.get("/health/ready", {"since": int(time.time()) + since})
    assert list(answer.json()["reasons"]) == ([] if is_known else list(processes.KINDS))


@transactional
@pytest.mark.parametrize("since", ["", "x", "9" * 30, "-1"])
def test_a_time_that_is_none_is_not_asked_for(client, since):
    all_alive()
    assert client.get("/health/ready", {"since": since}).status_code == 200


@transactional
def test_redis_away_is_named(client, settings, tmp_path):
    all_alive()
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    assert reasons(client) == dict.fromkeys(["queue", "channels"], "does not answer (ConnectionError)")


@transactional
def test_a_redis_that_hangs_is_not_waited_for(client, settings, hanging, monkeypatch):
    monkeypatch.setattr(health, "LIMIT_S", 0.3)
    all_alive()
    settings.AGENT_REDIS_URL = hanging
    began = time.monotonic()
    assert list(reasons(client)) == ["agents"]
    assert time.monotonic() - began < 0.3 * 4


def test_a_database_away_is_named(client, monkeypatch):
    def gone():
        raise DatabaseError("gone")

    monkeypatch.setattr(health, "_kept", {})
    monkeypatch.setattr(health, "_ask_database", gone)
    assert reasons(client) == {"database": "does not answer (DatabaseError)"} | dict.fromkeys(
        processes.KINDS, "unknown without the database"
    )


def test_a_database_that_hangs_is_not_waited_for_and_asked_only_once(client, monkeypatch):
    hang, asked = threading.Event(), []

    def hangs():
        asked.append(1)
        hang.wait(60)

    monkeypatch.setattr(health, "_kept", {})
    monkeypatch.setattr(health, "_ask_database", hangs)
    monkeypatch.setattr(health, "LIMIT_S", 0.2)
    began = time.monotonic()
    for _ in range(3):
        assert reasons(client)["database"] == "no answer in time"
    hang.set()
    assert time.monotonic() - began < 3 * 0.2 * 4
    assert asked == [1]


def test_the_dead_are_forgotten_after_a_day(db):
    all_alive()
    Process.objects.filter(kind="worker").update(seen_at=timezone.now() - timedelta(days=2))
    assert processes.forget_dead(timezone.now()) == 1
    assert Process.objects.count() == len(processes.KINDS) - 1
