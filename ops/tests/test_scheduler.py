import threading
from datetime import UTC, datetime, time, timedelta

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from agent.protocol import UP_PATTERNS
from lab.races import at_once
from ops import scheduler
from ops.models import Job, Process
from ops.schedule import JOBS, SUNDAY, Periodic

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


def count():
    return 3


def test_a_number_is_noted_with_what_it_counts(db):
    counted = job(call=f"{__name__}.count", counts="reports made")
    scheduler.register([counted], NOW - timedelta(minutes=10))
    scheduler.run_if_due(counted, NOW)
    assert Job.objects.get().last_result == "3 reports made"


def test_every_job_that_returns_a_number_says_of_what():
    silent = [each.name for each in JOBS if not each.counts]
    checks = ["check VPSes", "check unhealthy VPSes again"]
    sentences = [*checks, "take up lost provisionings", "settle enrolments", "check Redis"]
    assert silent == sentences, "these return a sentence"


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


SUNDAYS = [
    (datetime(2026, 3, 1, 2, 59, tzinfo=UTC), datetime(2026, 3, 1, 3, 0, tzinfo=UTC)),
    (datetime(2026, 3, 1, 3, 0, tzinfo=UTC), datetime(2026, 3, 8, 3, 0, tzinfo=UTC)),
    (datetime(2026, 3, 2, 0, 0, tzinfo=UTC), datetime(2026, 3, 8, 3, 0, tzinfo=UTC)),
    (datetime(2026, 12, 29, 0, 0, tzinfo=UTC), datetime(2027, 1, 3, 3, 0, tzinfo=UTC)),
]


@pytest.mark.parametrize(("now", "wanted"), SUNDAYS)
def test_weekly_jobs_run_on_their_day(now, wanted):
    assert job(every=None, daily_at=time(3, 0), weekday=SUNDAY).next_after(now) == wanted


def test_a_job_on_the_dot_does_not_drift():
    every_minute = job(every=timedelta(minutes=1), on_the_dot=True)
    assert every_minute.next_after(NOW + timedelta(seconds=7.25)) == NOW + timedelta(minutes=1)
    assert every_minute.next_after(NOW) == NOW + timedelta(minutes=1)


RHYTHMS = [
    (job(every=timedelta(minutes=1)), "every minute"),
    (job(), "every 5 minutes"),
    (job(every=timedelta(hours=1)), "every hour"),
    (job(every=timedelta(hours=6)), "every 6 hours"),
    (job(every=None, daily_at=time(2, 0)), "daily at 02:00 UTC"),
    (job(every=None, daily_at=time(3, 0), weekday=SUNDAY), "Sunday at 03:00 UTC"),
]


@pytest.mark.parametrize(("each", "words"), RHYTHMS)
def test_a_rhythm_is_said_in_words(each, words):
    assert each.rhythm == words


def test_the_table_is_in_the_console_with_what_happened_and_what_comes(db, operator, client):
    scheduler.register(JOBS, timezone.now())
    Job.objects.filter(name="check schedules").update(next_run_at=timezone.now() - timedelta(minutes=5))
    Job.objects.filter(name="usage reports").update(
        last_started_at=timezone.now(), last_duration_s=1.5, last_result="7", last_succeeded=True
    )
    client.force_login(operator)
    html = client.get(reverse("admin:ops_job_changelist")).content.decode()
    for shown in ("every minute", "Sunday at 03:00 UTC", "overdue", "just now", "1.50\N{NO-BREAK SPACE}s", ">done<"):
        assert shown in html, shown
    row = Job.objects.get(name="usage reports")
    assert client.get(reverse("admin:ops_job_change", args=[row.pk])).status_code == 200


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
    call_command("streams_check_scheduled")
    call_command("reports_generate_usage")
    assert capsys.readouterr().out.splitlines() == [
        "0 streams resolved",
        "0 progress rows deleted",
        "0 streams started, stopped or told",
        "0 reports made",
    ]
