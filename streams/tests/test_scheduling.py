"""The look at the clock. A window of these tests is open now, by the real clock; later looks are told the time."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.utils import timezone

from accounts.models import AuditEntry
from lab.races import at_once
from streams import actions, lifecycle, schedule_spec, scheduling, starting
from streams.errors import Refused
from streams.lifecycle import Event
from streams.models import EndReason, Occurrence, OccurrenceState, Run, Schedule, Status, Stream, Transition
from streams.schedule import daily
from streams.schedule_spec import ScheduleSpec
from streams.tests import build

DAY = timedelta(days=1)


@pytest.fixture
def now(db):
    return timezone.now()


@pytest.fixture
def opened(now):
    """When the window opened: ten minutes ago."""
    return (now - timedelta(minutes=10)).replace(second=0, microsecond=0)


@pytest.fixture
def ends(opened):
    return opened + timedelta(hours=1)


@pytest.fixture
def every_day(stream, alice, opened, ends):
    """A window at this hour of every day, set yesterday and looked at until just before it opened."""
    spec = ScheduleSpec("UTC", (daily(opened.time(), ends.time()),))
    row = actions.set_schedule(stream, spec, alice)
    Schedule.objects.update(seen_at=opened - timedelta(minutes=1), look_at=opened)
    AuditEntry.objects.all().delete()
    return row


def fresh(stream) -> Stream:
    return Stream.objects.select_related("run").get(pk=stream.pk)


def told() -> list[str]:
    return list(AuditEntry.objects.filter(actor=None).order_by("id").values_list("verb", flat=True))


def events(stream) -> list[str]:
    return list(stream.transitions.order_by("id").values_list("event", flat=True))


def goes_live(stream) -> None:
    lifecycle.fire(stream.pk, Event.LIVE, run_id=fresh(stream).run_id)


def goes_off(stream, event=Event.STOPPED, reason="") -> None:
    lifecycle.fire(stream.pk, event, run_id=fresh(stream).run_id, message="So it is.", reason=reason)


def only_row() -> Occurrence:
    return Occurrence.objects.get()


# ------------------------------------------------------------------------------------------------ starts and stops


def test_it_starts_when_the_window_opens_and_never_early(every_day, stream, opened):
    assert scheduling.check(opened - timedelta(seconds=1)) == 0
    assert fresh(stream).state is Status.INACTIVE
    assert scheduling.check(opened) == 1
    assert fresh(stream).state is Status.STARTING
    assert "By the schedule, until" in stream.transitions.get().message
    assert only_row().run == fresh(stream).run


def test_looking_again_does_nothing(every_day, stream, now):
    scheduling.check(now)
    assert [scheduling.check(now + timedelta(minutes=minute)) for minute in range(5)] == [0] * 5
    assert Run.objects.count() == 1


def test_it_stops_when_the_window_ends_and_starts_again_tomorrow(every_day, stream, opened, now, ends):
    scheduling.check(now)
    goes_live(stream)
    assert scheduling.check(ends - timedelta(seconds=1)) == 0
    assert scheduling.check(ends) == 1
    assert fresh(stream).state is Status.STOPPING
    goes_off(stream)
    assert scheduling.check(ends + timedelta(minutes=1)) == 0
    assert scheduling.check(opened + DAY) == 1
    assert fresh(stream).state is Status.STARTING
    assert told() == ["start", "stop", "start"]


def test_what_is_due_is_done_by_the_command_too(every_day, stream, capsys):
    call_command("streams_check_scheduled")
    call_command("streams_check_scheduled")
    assert capsys.readouterr().out.splitlines() == [f"{n} streams started, stopped or told" for n in (1, 0)]
    assert fresh(stream).state is Status.STARTING


def test_nothing_is_due_when_it_is_off(every_day, stream, alice, now):
    actions.switch_schedule(stream, False, alice, now)
    assert scheduling.check(now) == 0
    actions.switch_schedule(stream, True, alice, now)
    assert scheduling.check(now) == 1


def test_a_look_without_anything_due_is_one_query_or_two(every_day, stream, now, django_assert_num_queries):
    scheduling.check(now)
    goes_live(stream)
    with django_assert_num_queries(2):
        scheduling.check(now)


# ------------------------------------------------------------------------------------------------ after downtime


def test_a_missed_start_within_its_window_starts_late(every_day, stream, ends):
    assert scheduling.check(ends - timedelta(minutes=1)) == 1
    assert fresh(stream).state is Status.STARTING


def test_missed_windows_are_skipped_and_said_once(every_day, stream, opened):
    later = opened + 3 * DAY - timedelta(hours=1)
    assert scheduling.check(later) == 1
    assert scheduling.check(later) == 0
    assert fresh(stream).state is Status.INACTIVE
    rows = Occurrence.objects.order_by("starts_at")
    assert [row.starts_at for row in rows] == [opened + day * DAY for day in range(3)]
    assert {(row.state, row.note) for row in rows} == {("missed", "The scheduler was not running.")}
    entry = AuditEntry.objects.get(actor=None)
    assert (entry.verb, entry.details["windows"]) == ("miss window", 3)


def test_after_months_the_newest_rows_are_kept_and_all_are_counted(every_day, opened):
    scheduling.check(opened + 100 * DAY - timedelta(hours=1))
    assert Occurrence.objects.count() == 20
    assert AuditEntry.objects.get(actor=None).details["windows"] == 100


def test_an_end_nobody_was_there_for_is_made_up(every_day, stream, now, ends):
    scheduling.check(now)
    goes_live(stream)
    assert scheduling.check(ends + timedelta(hours=5)) == 1
    assert fresh(stream).state is Status.STOPPING


def test_on_air_into_the_next_window_it_is_handed_over_without_a_break(every_day, stream, now, opened, ends):
    scheduling.check(now)
    goes_live(stream)
    run = fresh(stream).run_id
    assert scheduling.check(now + DAY) == 1
    assert (fresh(stream).state, fresh(stream).run_id) == (Status.STREAMING, run)
    newest = Occurrence.objects.get(closed_at=None)
    assert (newest.starts_at, newest.run_id) == (opened + DAY, run)
    assert scheduling.check(ends + DAY) == 1
    assert fresh(stream).state is Status.STOPPING


# ------------------------------------------------------------------------------------------------ refused


def test_a_refused_start_is_tried_again_and_said_once(every_day, stream, alice, now):
    outputs = stream.outputs.all()
    outputs.update(enabled=False)
    for minute in range(3):
        assert scheduling.check(now + timedelta(minutes=minute)) == 0
    assert told() == ["refuse scheduled start"]
    assert "Every destination is switched off" in only_row().note
    assert Run.objects.count() == 0
    outputs.update(enabled=True)
    assert scheduling.check(now + timedelta(minutes=3)) == 1
    assert (only_row().state, only_row().note) == ("started", "")


def test_another_reason_is_said_too(every_day, stream, alice, now):
    stream.outputs.update(enabled=False)
    scheduling.check(now)
    stream.items.all().delete()
    scheduling.check(now)
    assert told() == ["refuse scheduled start"] * 2


def test_over_the_package_waits_for_room(every_day, stream, alice, now):
    rival = build.stream(alice, "Rival")
    alice.package = build.package(streams=1)
    alice.save()
    run = build.starting_run(rival)
    assert scheduling.check(now) == 0
    assert "Your package allows 1" in only_row().note
    lifecycle.fire(rival.pk, Event.FAILED, run_id=run.pk)
    assert scheduling.check(now + timedelta(minutes=1)) == 1


def test_a_window_that_never_got_its_start_is_told_as_missed(every_day, stream, now, ends):
    stream.outputs.update(enabled=False)
    scheduling.check(now)
    assert scheduling.check(ends) == 1
    row = only_row()
    assert (row.state, row.closed_at) == (OccurrenceState.MISSED, ends)
    assert "Every destination is switched off" in row.note
    assert told() == ["refuse scheduled start", "miss window"]


def finds_no_vps(stream) -> None:
    starting.put_on_air(fresh(stream).run_id, build.no_sleep)
    assert fresh(stream).run.reason is EndReason.NO_VPS


def test_no_vps_is_tried_again_only_when_there_is_room(every_day, stream, now):
    scheduling.check(now)
    finds_no_vps(stream)
    assert [scheduling.check(now + timedelta(minutes=minute)) for minute in (1, 2, 3)] == [0, 0, 0]
    assert events(stream) == ["start", "failed"]
    build.vps(last_heartbeat_at=now + timedelta(minutes=4))
    assert scheduling.check(now + timedelta(minutes=4)) == 1
    assert fresh(stream).state is Status.STARTING
    assert only_row().run == fresh(stream).run
    assert scheduling.check(now + timedelta(minutes=5)) == 0


def test_no_more_are_tried_again_than_there_is_room_for(alice, now, opened, ends):
    alice.package = build.package(streams=9)
    alice.save()
    rows = [build.stream(alice, f"stream {number}") for number in range(4)]
    for row in rows:
        actions.set_schedule(row, ScheduleSpec("UTC", (daily(opened.time(), ends.time()),)), alice, now)
    assert scheduling.check(now) == 4
    for row in rows:
        finds_no_vps(row)
    build.vps(last_heartbeat_at=now, max_streams=1)
    assert scheduling.check(now) == 1
    assert Stream.objects.on_air().count() == 1


def test_no_vps_is_not_tried_again_after_the_window(every_day, stream, now, ends):
    scheduling.check(now)
    finds_no_vps(stream)
    build.vps(last_heartbeat_at=ends)
    scheduling.check(ends)
    assert fresh(stream).state is Status.ERROR


def test_a_run_that_failed_otherwise_is_not_started_by_a_second_road(every_day, stream, vps, now):
    scheduling.check(now)
    goes_live(stream)
    goes_off(stream, Event.FAILED)
    assert [scheduling.check(now + timedelta(minutes=minute)) for minute in (1, 2, 3)] == [0, 0, 0]
    assert Run.objects.count() == 1


def test_played_to_the_end_it_stays_off_until_the_next_window(every_day, stream, now, opened):
    scheduling.check(now)
    goes_live(stream)
    goes_off(stream)
    assert scheduling.check(now + timedelta(minutes=1)) == 0
    assert scheduling.check(opened + DAY) == 1


# ------------------------------------------------------------------------------------------------ people press buttons


def test_stopped_by_hand_it_stays_off_until_the_window_ends(every_day, stream, alice, now, opened, ends):
    scheduling.check(now)
    goes_live(stream)
    actions.stop(stream, alice)
    goes_off(stream)
    assert scheduling.check(now + timedelta(minutes=5)) == 0
    scheduling.check(ends)
    assert only_row().what_came is OccurrenceState.OVERRULED
    assert fresh(stream).state is Status.INACTIVE
    assert scheduling.check(opened + DAY) == 1


def test_stopped_by_hand_before_the_scheduler_looked_counts_too(every_day, stream, vps, alice, now):
    build.running(stream, vps)
    Run.objects.update(requested_at=now - timedelta(hours=2))
    actions.stop(stream, alice)
    goes_off(stream)
    assert scheduling.check(timezone.now()) == 1
    assert only_row().what_came is OccurrenceState.OVERRULED
    assert fresh(stream).state is Status.INACTIVE


def test_stopping_when_the_window_opens_it_waits_for_the_stop(every_day, stream, vps, alice, now, opened):
    build.running(stream, vps)
    actions.stop(stream, alice)
    Transition.objects.update(at=opened - timedelta(seconds=5))
    assert scheduling.check(now) == 0
    goes_off(stream)
    assert scheduling.check(now + timedelta(minutes=1)) == 1
    assert fresh(stream).state is Status.STARTING


def test_started_by_hand_before_it_is_left_alone_and_stays(every_day, stream, vps, opened, now, ends):
    run = build.running(stream, vps)
    Run.objects.update(requested_at=opened - timedelta(minutes=1))
    assert scheduling.check(now) == 1
    assert only_row().what_came is OccurrenceState.BY_HAND
    assert scheduling.check(now + timedelta(minutes=1)) == 0
    assert told() == ["leave on air"]
    assert scheduling.check(ends) == 0
    assert (fresh(stream).state, fresh(stream).run_id) == (Status.STREAMING, run.pk)


def test_started_by_hand_inside_it_belongs_to_the_window(every_day, stream, vps, now, ends):
    run = build.running(stream, vps)
    assert scheduling.check(now) == 1
    assert (only_row().what_came, only_row().run_id) == (OccurrenceState.STARTED, run.pk)
    assert scheduling.check(ends) == 1
    assert fresh(stream).state is Status.STOPPING


def test_stopped_and_started_again_inside_it_belongs_to_the_window(every_day, stream, alice, now, ends):
    scheduling.check(now)
    goes_live(stream)
    actions.stop(stream, alice)
    goes_off(stream)
    actions.start(stream, alice)
    goes_live(stream)
    assert scheduling.check(ends) == 1
    assert fresh(stream).state is Status.STOPPING


# ------------------------------------------------------------------------------------------------ changed on air


def change(stream, alice, spec, *rules, **fields) -> None:
    actions.set_schedule(stream, replace(spec, rules=rules or spec.rules, **fields), alice)


@pytest.fixture
def on_air(every_day, stream, now):
    scheduling.check(now)
    goes_live(stream)
    return schedule_spec.spec_of(Schedule.objects.get())


def test_a_later_end_is_kept_to(on_air, stream, alice, opened, ends):
    change(stream, alice, on_air, daily(opened.time(), (ends + timedelta(hours=1)).time()))
    assert scheduling.check(ends) == 0
    assert scheduling.check(ends + timedelta(hours=1)) == 1
    assert fresh(stream).state is Status.STOPPING
    assert Run.objects.count() == 1


def test_another_start_of_the_open_window_starts_nothing_twice(on_air, stream, alice, opened, now, ends):
    change(stream, alice, on_air, daily((opened - timedelta(hours=1)).time(), ends.time()))
    assert scheduling.check(now) == 0
    assert scheduling.check(ends) == 1
    assert events(stream) == ["start", "live", "stop"]


def test_moved_by_hours_it_stays_on_air_as_if_by_hand(on_air, stream, alice, opened, now, ends):
    change(stream, alice, on_air, daily((opened + timedelta(hours=5)).time(), (ends + timedelta(hours=5)).time()))
    assert scheduling.check(ends) == 0
    assert scheduling.check(opened + timedelta(hours=5)) == 1
    assert scheduling.check(ends + timedelta(hours=5)) == 0
    assert events(stream) == ["start", "live"]


def test_moved_there_and_back_the_end_is_kept_to(on_air, stream, alice, opened, ends):
    change(stream, alice, on_air, daily((opened + timedelta(hours=5)).time(), (ends + timedelta(hours=5)).time()))
    change(stream, alice, on_air)
    assert scheduling.check(ends - timedelta(minutes=1)) == 1  # taken over again
    assert scheduling.check(ends) == 1
    assert events(stream) == ["start", "live", "stop"]


def test_a_window_put_back_around_now_after_its_end_gets_another_turn(stream, alice, now):
    opened = (now - timedelta(minutes=50)).replace(second=0, microsecond=0)
    short = ScheduleSpec("UTC", (daily(opened.time(), (opened + timedelta(minutes=10)).time()),))
    actions.set_schedule(stream, short, alice, now=opened)
    scheduling.check(opened)
    Run.objects.update(requested_at=opened)
    goes_live(stream)
    scheduling.check(opened + timedelta(minutes=10))
    goes_off(stream)
    change(stream, alice, short, daily(opened.time(), (opened + timedelta(hours=2)).time()))
    assert scheduling.check(timezone.now()) == 1
    assert fresh(stream).state is Status.STARTING


def test_saved_again_unchanged_nothing_is_written(on_air, stream, alice):
    before = (Schedule.objects.values().get(), AuditEntry.objects.count())
    change(stream, alice, on_air)
    assert (Schedule.objects.values().get(), AuditEntry.objects.count()) == before


def test_switched_off_what_is_on_air_stays_there(on_air, stream, alice, ends):
    actions.switch_schedule(stream, False, alice)
    assert scheduling.check(ends) == 0
    assert fresh(stream).state is Status.STREAMING


def test_taken_away_what_is_on_air_stays_there(on_air, stream, alice, ends):
    actions.clear_schedule(stream, alice)
    actions.clear_schedule(stream, alice)
    assert scheduling.check(ends) == 0
    assert fresh(stream).state is Status.STREAMING
    assert AuditEntry.objects.filter(verb="clear schedule").count() == 1
    assert only_row().closed_at is not None


def test_a_window_that_opened_before_the_schedule_was_set_is_not_missed(stream, alice, opened, now):
    earlier = opened - timedelta(hours=3)
    rule = daily(earlier.time(), (earlier + timedelta(hours=1)).time())
    actions.set_schedule(stream, ScheduleSpec("UTC", (rule,)), alice)
    assert scheduling.check(now + timedelta(minutes=1)) == 0
    assert not Occurrence.objects.exists()


# ------------------------------------------------------------------------------------------------ the rest


def test_one_row_that_cannot_be_had_keeps_no_other_waiting(alice, now, opened, ends, monkeypatch):
    rows = [build.stream(alice, f"stream {number}") for number in range(2)]
    for row in rows:
        actions.set_schedule(row, ScheduleSpec("UTC", (daily(opened.time(), ends.time()),)), alice, now)
    real = scheduling.attend

    def attend(stream_id, moment):
        if stream_id == rows[0].pk:
            raise DatabaseError("deadlock detected")
        return real(stream_id, moment)

    monkeypatch.setattr(scheduling, "attend", attend)
    assert scheduling.check(now) == 1
    monkeypatch.undo()
    assert scheduling.check(now) == 1


def test_a_stream_goes_with_its_schedule_and_a_copy_has_none(every_day, stream, alice, now, ends):
    copy = actions.duplicate(stream, alice)
    assert not Schedule.objects.filter(stream=copy).exists()
    scheduling.check(ends)
    actions.delete(stream, alice)
    assert not Schedule.objects.exists()
    assert not Occurrence.objects.exists()


def test_windows_long_over_are_forgotten(every_day, ends, now):
    scheduling.check(ends)
    assert scheduling.forget_old(ends + 90 * DAY) == 0
    assert scheduling.forget_old(ends + 91 * DAY) == 1


# ------------------------------------------------------------------------------------------------ at once


def _scheduled(name="alice", **fields) -> Stream:
    stream = build.stream(build.user(name, **fields))
    opened = (timezone.now() - timedelta(minutes=10)).replace(second=0, microsecond=0)
    spec = ScheduleSpec("UTC", (daily(opened.time(), (opened + timedelta(hours=1)).time()),))
    actions.set_schedule(stream, spec, None)
    return stream


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_ten_schedulers_at_once_one_starts_and_one_stops():
    stream = _scheduled()
    now = timezone.now()
    assert at_once(10, lambda: scheduling.check(now)) == [None] * 10
    assert events(stream) == ["start"]
    goes_live(stream)
    assert at_once(10, lambda: scheduling.check(now + timedelta(hours=1))) == [None] * 10
    assert events(stream) == ["start", "live", "stop"]
    assert Run.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_ten_schedulers_say_a_refusal_and_a_missed_window_once():
    stream = _scheduled()
    stream.outputs.update(enabled=False)
    now = timezone.now()
    at_once(10, lambda: scheduling.check(now))
    at_once(10, lambda: scheduling.check(now + timedelta(hours=1)))
    assert told().count("refuse scheduled start") == 1
    assert told().count("miss window") == 1
    assert Occurrence.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_ten_schedulers_and_no_vps_free_until_now():
    stream = _scheduled()
    now = timezone.now()
    scheduling.check(now)
    finds_no_vps(stream)
    build.vps(last_heartbeat_at=now)
    at_once(10, lambda: scheduling.check(now))
    assert events(stream) == ["start", "failed", "start"]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_schedulers_and_people_at_once_end_with_one_run_or_none():
    """Start, stop, changes and looks in a heap: nobody is left waiting for a lock, nothing is started twice."""
    stream = _scheduled()
    user, now = stream.owner, timezone.now()
    spec = schedule_spec.spec_of(Schedule.objects.get())
    turns = [
        lambda: scheduling.check(now),
        lambda: actions.start(fresh(stream), user),
        lambda: scheduling.check(now + timedelta(hours=1)),
        lambda: actions.stop(fresh(stream), user),
        lambda: actions.set_schedule(stream, replace(spec, zone="Asia/Tokyo"), user),
        lambda: actions.switch_schedule(stream, False, user),
    ] * 4
    outcomes = at_once(len(turns), lambda: turns.pop()())
    assert [each for each in outcomes if each and not isinstance(each, Refused)] == []
    assert Run.objects.filter(ended_at=None).count() <= 1
    starts = [event for event in events(stream) if event in ("start", "stop")]
    assert not any(one == other == "start" for one, other in pairwise(starts))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_deleted_while_schedulers_look():
    streams = [_scheduled(f"user{number}") for number in range(4)]
    now = timezone.now()
    left = list(streams)
    turns = [lambda: scheduling.check(now)] * 4 + [lambda: actions.delete(left.pop(), None)] * 4
    outcomes = at_once(len(turns), lambda: turns.pop()())
    assert [each for each in outcomes if each and not isinstance(each, Refused)] == []
    for stream in Stream.objects.all():
        assert stream.state is Status.STARTING
