from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.utils import timezone

from ops import health, processes
from ops.models import Process


def all_alive():
    for kind in processes.KINDS:
        processes.record(kind, "host:1")


def test_live_answers_without_a_database(client):
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_ready_when_everything_was_seen(db, client):
    all_alive()
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == dict.fromkeys(["database", "redis", *processes.KINDS], True)


@pytest.mark.parametrize("kind", processes.KINDS)
def test_a_process_not_seen_lately_is_named(db, client, kind):
    all_alive()
    Process.objects.filter(kind=kind).update(seen_at=timezone.now() - processes.FRESH - timedelta(seconds=1))
    answer = client.get("/health/ready")
    assert answer.status_code == 503
    assert [name for name, well in answer.json()["checks"].items() if not well] == [kind]


def test_redis_away_is_named(db, client, settings, tmp_path):
    all_alive()
    settings.REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (503, False)


def test_a_database_away_is_named(db, client, monkeypatch):
    def gone():
        raise DatabaseError("gone")

    monkeypatch.setattr(health, "connection", SimpleNamespace(cursor=gone))
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, False)


def test_the_dead_are_forgotten_after_a_day(db):
    all_alive()
    Process.objects.filter(kind="worker").update(seen_at=timezone.now() - timedelta(days=2))
    assert processes.forget_dead(timezone.now()) == 1
    assert Process.objects.count() == len(processes.KINDS) - 1
