import threading
from datetime import UTC, datetime, time, timedelta

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone
from django.utils.module_loading import import_string

from agent.protocol import UP_PATTERNS
from lab.races import at_once
from ops import scheduler
from ops.models import Job, Process
from ops.schedule import JOBS, Periodic

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
calls: list[object] = []


def note(now=None):
    calls.append(now)
    return "noted"


def crash():
    raise RuntimeError("broken on purpose")


def job(**fields):
    return Periodic(**{"name": "note", "call": f"{__name__}.note", "every": timedelta(minutes=5)} | fields)


@pytest.fixture(autouse=True)
def _nothing_called_yet():
    calls.clear()


@pytest.mark.parametrize("each", JOBS, ids=lambda each: each.name)
def test_every_job_of_the_table_exists_and_has_one_rhythm(each):
    assert callable(import_string(each.call))
    assert (each.every is None) != (each.daily_at is None)


@pytest.fixture
def _a_listener():
    """Redis is not well while nobody listens to the agents."""
    with redis.Redis.from_url(settings.AGENT_REDIS_URL) as client, client.pubsub() as pubsub:
        pubsub.psubscribe(*UP_PATTERNS)
        pubsub.get_message(timeout=2)
        yield


@pytest.mark.usefixtures("_a_listener")
@pytest.mark.parametrize("each", JOBS, ids=lambda each: each.name)
def test_every_job_of_the_table_runs(db, each):
    scheduler.register([each], NOW - timedelta(days=2))
    assert scheduler.run_if_due(each, timezone.now())
    row = Job.objects.get()
    assert (row.last_succeeded, bool(row.last_result)) == (True, True), row.last_result


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (datetime(2026, 3, 1, 1, 59, tzinfo=UTC), datetime(2026, 3, 1, 2, 0, tzinfo=UTC)),
        (datetime(2026, 3, 1, 2, 0, tzinfo=UTC), datetime(2026, 3, 2, 2, 0, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2027, 1, 1, 2, 0, tzinfo=UTC)),
    ],
)
def test_daily_jobs_run_at_their_hour(now, wanted):
    assert job(every=None, daily_at=time(2, 0)).next_after(now) == wanted


def test_it_runs_when_due_and_not_again_before_its_time(db):
    scheduler.register([job()], NOW)
    assert not scheduler.run_if_due(job(), NOW + timedelta(minutes=4))
    assert scheduler.run_if_due(job(), NOW + timedelta(minutes=5))
    row = Job.objects.get()
    assert (row.last_succeeded, row.last_result) == (True, "noted")
    assert row.next_run_at > timezone.now() + timedelta(minutes=4)
    assert not scheduler.run_if_due(job(), timezone.now())
    assert calls == [None]


def test_a_job_may_be_told_the_time(db):
    scheduler.register([job(takes_now=True)], NOW - timedelta(hours=1))
    scheduler.run_if_due(job(takes_now=True), NOW)
    assert calls == [NOW]


@pytest.mark.parametrize("call", [f"{__name__}.crash", f"{__name__}.is_not_there", "no.such.module"])
def test_a_job_that_fails_is_written_down_and_tried_at_its_next_time(db, call):
    broken = job(call=call)
    scheduler.register([broken], NOW - timedelta(hours=1))
    assert scheduler.run_if_due(broken, NOW)
    row = Job.objects.get()
    assert row.last_succeeded is False
    assert "Error" in row.last_result
    assert row.next_run_at > timezone.now()


def test_of_two_schedulers_one_runs_it_and_the_other_takes_over_when_it_dies(db):
    scheduler.register([job()], NOW - timedelta(hours=1))
    assert scheduler.claim(job(), NOW)
    assert not scheduler.claim(job(), NOW)
    assert not scheduler.claim(job(), NOW + timedelta(minutes=9))
    assert scheduler.claim(job(), NOW + timedelta(minutes=11))


def test_a_job_that_outlived_its_lease_does_not_undo_the_new_owners_row(db):
    scheduler.register([job()], NOW - timedelta(hours=1))
    scheduler.claim(job(), NOW)
    scheduler.claim(job(), NOW + timedelta(minutes=11))
    before = Job.objects.get().next_run_at
    scheduler._settle(job(), NOW, scheduler.Outcome(True, "late"), 700.0)
    assert Job.objects.get().next_run_at == before


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_ten_schedulers_at_once_one_runs_it():
    scheduler.register([job()], NOW - timedelta(hours=1))
    assert at_once(10, lambda: scheduler.run_if_due(job(), NOW)) == [None] * 10
    assert calls == [None]


def test_jobs_that_left_the_table_leave_the_database(db):
    scheduler.register([job(name="old")], NOW)
    scheduler.register([job()], NOW)
    assert list(Job.objects.values_list("name", flat=True)) == ["note"]


@pytest.mark.django_db(transaction=True)
def test_the_loop_says_it_is_alive_and_ends_when_told(monkeypatch):
    stop = threading.Event()
    monkeypatch.setattr(scheduler, "run_if_due", lambda *_: stop.set())
    scheduler.run_for_ever(stop, [job()])
    assert Process.objects.get().kind == "scheduler"


def test_the_commands_of_the_table_run_by_hand_too(db, capsys):
    call_command("streams_force_stop_hanging", "--timeout=300")
    call_command("streams_cleanup_progress", "--days=7")
    assert capsys.readouterr().out.splitlines() == ["0 streams resolved", "0 progress rows deleted"]
