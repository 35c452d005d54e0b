"""Weekly usage: counted from runs, each week once, nothing twice."""

import uuid
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as some

from accounts.models import UsageReport, User
from lab.races import at_once
from ops import usage
from ops.usage import Mark, RunFacts
from streams.models import EndReason, Run, Transition
from streams.tests import build

SUNDAY = datetime(2026, 3, 8, tzinfo=UTC)
"""The end of the week that is reported at NOW."""
NOW = SUNDAY + timedelta(hours=3)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@pytest.fixture
def stream(alice):
    User.objects.update(date_joined=SUNDAY - 100 * DAY)
    return build.stream(alice, "Harbour TV")


def run(stream, since, on_air=None, until=None, reason="", sent=0, reported=None) -> Run:
    """A run as its rows say it; `sent` is in two parts, one for each of two destinations."""
    destinations = [{"id": 1, "bytes_sent": sent // 2}, {"id": 2, "bytes_sent": sent - sent // 2}]
    row = Run.objects.create(
        stream=stream, on_air_at=on_air, ended_at=until, end_reason=reason,
        report={"destinations": destinations}, reported_at=reported or until,
    )  # fmt: skip
    Run.objects.filter(pk=row.pk).update(requested_at=since)
    _transitions(row, since, on_air, until, reason)
    return row


def _transitions(row, since, on_air, until, reason):
    steps = [(since, "start", "INACTIVE", "STARTING"), (on_air, "live", "STARTING", "STREAMING")]
    before, after = "STREAMING" if on_air else "STARTING", "ERROR" if reason in usage.FAILURES else "INACTIVE"
    for at, event, old, new in [*steps, (until, "ended", before, after)]:
        if at is not None:
            Transition.objects.create(stream=row.stream, run=row, at=at, event=event, old=old, new=new)


def report(user, end=SUNDAY) -> UsageReport:
    return UsageReport.objects.get(user=user, starts_on=(end - WEEK).date())


@pytest.mark.parametrize(
    ("today", "sunday"),
    [("2026-03-08", "2026-03-08"), ("2026-03-09", "2026-03-08"), ("2026-03-14", "2026-03-08")],
)
def test_the_week_ends_on_the_last_sunday(today, sunday):
    moment = datetime.fromisoformat(today).replace(tzinfo=UTC)
    assert usage.last_sunday(moment) == date.fromisoformat(sunday)


def test_hours_runs_failures_and_uptime_of_each_stream(stream, alice):
    start = SUNDAY - 3 * DAY
    run(stream, start, start + HOUR, start + 10 * HOUR, EndReason.STOPPED, sent=900)
    run(stream, start + DAY, start + DAY, start + DAY + HOUR, EndReason.FAILED, sent=100)
    run(stream, start + DAY + 2 * HOUR, None, start + DAY + 3 * HOUR, EndReason.NO_VPS)
    run(stream, start + DAY + 4 * HOUR, start + DAY + 4 * HOUR, start + DAY + 5 * HOUR, EndReason.STOPPED)
    other = build.stream(alice, "Night train")
    run(other, start, start, start + 2 * HOUR, EndReason.FINISHED, sent=50)
    User.objects.filter(pk=alice.pk).update(storage_used=12345)
    assert usage.generate(NOW) == 1
    row = report(alice)
    assert (row.streamed_s, row.wanted_s) == (13 * 3600, 16 * 3600)
    assert (row.runs, row.failures, row.bytes_sent, row.bytes_stored) == (5, 2, 1050, 12345)
    assert row.uptime == 81.25
    harbour, night = row.streams
    assert (harbour["title"], harbour["runs"], harbour["failures"], harbour["bytes_sent"]) == ("Harbour TV", 4, 2, 1000)
    assert (night["title"], night["streamed_s"], night["failures"]) == ("Night train", 2 * 3600, 0)


def test_a_server_that_was_lost_is_no_time_on_air(stream, alice):
    """Its run goes on elsewhere; the report says what the incidents say."""
    row = run(stream, SUNDAY - 2 * HOUR, SUNDAY - 2 * HOUR, None)
    away = {"stream": stream, "run": row, "event": "interrupted", "old": "STREAMING", "new": "STARTING"}
    Transition.objects.create(at=SUNDAY - HOUR, heard_at=SUNDAY - HOUR - timedelta(minutes=2), **away)
    back = away | {"event": "live", "old": "STARTING", "new": "STREAMING"}
    Transition.objects.create(at=SUNDAY - HOUR + timedelta(minutes=1), **back)
    usage.generate(NOW)
    assert (report(alice).wanted_s, report(alice).streamed_s) == (7200, 7200 - 180)


def test_what_failed_and_was_left_is_wanted_for_a_day(stream, alice):
    run(stream, SUNDAY - 3 * DAY, SUNDAY - 3 * DAY, SUNDAY - 2 * DAY, EndReason.FAILED)
    usage.generate(NOW)
    assert (report(alice).wanted_s, report(alice).streamed_s, report(alice).uptime) == (2 * 86400, 86400, 50.0)


def test_bytes_of_playouts_that_are_gone_count(stream, alice):
    row = run(stream, SUNDAY - DAY, SUNDAY - DAY, SUNDAY - HOUR, EndReason.STOPPED, sent=100)
    memory = {"sent": {"earlier": 900, "last": {"1": 50, "2": 50}}}
    Run.objects.update(report=row.report | {"memory": memory})
    usage.generate(NOW)
    assert report(alice).bytes_sent == 1000


def test_only_what_lies_in_the_week_counts(stream, alice):
    run(stream, SUNDAY - 8 * DAY, SUNDAY - 8 * DAY, SUNDAY - 6 * DAY, EndReason.STOPPED, sent=2000)
    run(stream, SUNDAY - HOUR, SUNDAY - HOUR, None, sent=400, reported=NOW)
    run(stream, SUNDAY + HOUR, SUNDAY + HOUR, SUNDAY + 2 * HOUR, EndReason.STOPPED, sent=7)
    run(stream, SUNDAY - 20 * DAY, SUNDAY - 20 * DAY, SUNDAY - 19 * DAY, EndReason.STOPPED, sent=7)
    usage.generate(NOW)
    row = report(alice)
    assert (row.streamed_s, row.runs) == (25 * 3600, 2)
    assert row.bytes_sent == 1000 + 100


def test_a_run_of_weeks_is_shared_out_and_counted_once(stream, alice):
    row = run(stream, SUNDAY - 10 * DAY, SUNDAY - 10 * DAY, None, sent=1000, reported=SUNDAY)
    usage.generate(NOW)
    assert [report(alice, SUNDAY - WEEK).bytes_sent, report(alice).bytes_sent] == [300, 700]
    destinations = [{"id": 1, "bytes_sent": 2400}]
    Run.objects.update(report={"destinations": destinations}, reported_at=SUNDAY + WEEK)
    usage.generate(NOW + WEEK)
    following = report(alice, SUNDAY + WEEK)
    assert (following.bytes_sent, following.streamed_s) == (1400, 7 * 86400)
    assert following.counted == {str(row.pk): 2400}


def test_a_playout_that_counts_from_nothing_again_takes_nothing_back(stream, alice):
    run(stream, SUNDAY - 2 * DAY, SUNDAY - 2 * DAY, None, sent=1000, reported=SUNDAY)
    usage.generate(NOW)
    Run.objects.update(report={"destinations": [{"id": 1, "bytes_sent": 70}]}, reported_at=SUNDAY + WEEK)
    usage.generate(NOW + WEEK)
    assert report(alice, SUNDAY + WEEK).bytes_sent == 70


def test_once_more_changes_nothing(stream, alice):
    run(stream, SUNDAY - DAY, SUNDAY - DAY, None, sent=10, reported=SUNDAY)
    assert usage.generate(NOW) == 1
    before = list(UsageReport.objects.values())
    Run.objects.update(report={"destinations": [{"id": 1, "bytes_sent": 999}]})
    assert usage.generate(NOW + DAY) == 0
    assert list(UsageReport.objects.values()) == before


def test_weeks_that_were_missed_are_made_up(stream, alice):
    run(stream, SUNDAY - 60 * DAY, SUNDAY - 60 * DAY, None, sent=6000, reported=SUNDAY)
    assert usage.generate(NOW) == 4
    rows = UsageReport.objects.order_by("starts_on")
    assert [row.bytes_sent for row in rows] == [700] * 4
    assert {row.streamed_s for row in rows} == {7 * 86400}


def test_who_used_nothing_or_came_later_has_no_report(stream, alice, bob):
    carol = build.user("carol", storage_used=100)
    User.objects.filter(pk=carol.pk).update(date_joined=SUNDAY + HOUR)
    dave = build.user("dave", storage_used=100)
    User.objects.filter(pk=dave.pk).update(date_joined=SUNDAY - DAY)
    assert usage.generate(NOW) == 1
    row = UsageReport.objects.get()
    assert (row.user, row.runs, row.bytes_stored, row.uptime) == (dave, 0, 100, None)


def test_a_report_without_figures_in_it_is_no_crash(stream, alice):
    for body in (None, {}, {"destinations": []}, {"destinations": [{"id": 1}]}):
        row = run(stream, SUNDAY - DAY, SUNDAY - DAY, SUNDAY - HOUR, EndReason.STOPPED)
        Run.objects.filter(pk=row.pk).update(report=body, reported_at=None)
    usage.generate(NOW)
    assert (report(alice).runs, report(alice).bytes_sent) == (4, 0)


def test_queries_do_not_grow_with_users_and_runs(db, django_assert_max_num_queries):
    for number in range(8):
        stream = build.stream(build.user(f"user{number}"))
        for day in range(1, 6):
            run(stream, SUNDAY - day * DAY, SUNDAY - day * DAY, SUNDAY - day * DAY + HOUR, EndReason.STOPPED, sent=9)
    User.objects.update(date_joined=SUNDAY - DAY)
    with django_assert_max_num_queries(5 * usage.BACK + 2):
        assert usage.generate(NOW) == 8


def test_the_command_says_how_many(stream, capsys):
    call_command("reports_generate_usage")
    assert capsys.readouterr().out == "0 reports made\n"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_each_report_once():
    stream = build.stream(build.user())
    User.objects.update(date_joined=SUNDAY - DAY)
    run(stream, SUNDAY - DAY, SUNDAY - DAY, None, sent=10, reported=SUNDAY)
    assert at_once(6, lambda: usage.generate(NOW)) == [None] * 6
    assert UsageReport.objects.count() == 1


# ------------------------------------------------------------------------------------------------ always

HOURS = some.integers(0, 24 * 40)


def facts(on_air, length, sent) -> RunFacts:
    begin = SUNDAY - 40 * DAY + on_air * HOUR
    end = begin + length * HOUR
    return RunFacts(uuid.UUID(int=1), 1, 1, "x", begin, begin, None, "", end, sent)


@given(HOURS, HOURS, some.integers(0, 10**13), some.lists(HOURS, min_size=1, max_size=5))
def test_bytes_shared_out_over_weeks_are_all_of_them_and_none_twice(on_air, length, sent, cuts):
    whole = facts(on_air, length, sent)
    edges = sorted({SUNDAY - 80 * DAY, *(SUNDAY - 40 * DAY + cut * HOUR for cut in cuts), SUNDAY + 80 * DAY})
    mark, parts = None, []
    for start, end in pairwise(edges):
        parts.append(usage.sent_by(whole, mark, end) - usage.sent_by(whole, mark, start))
        if end > whole.on_air_at:
            mark = Mark(end, usage.sent_by(whole, mark, end))
    assert all(part >= -1e-3 for part in parts)
    assert sum(parts) == pytest.approx(sent, abs=1)
