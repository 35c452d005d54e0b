from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from agent.protocol import DestinationState, Load, Pong, StartStream, StreamProgress
from fleet import traffic
from fleet.slots import held
from streams import happenings, telling
from streams.converge import ACTOR_LATE, FLEET_HEARD, Sweep, resolve_overdue
from streams.inbox import Inbox
from streams.lifecycle import TIMEOUTS
from streams.models import EndReason, Progress, Run, RunEvent, Status
from streams.tests import build


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def now():
    return timezone.now()


def test_on_air_begins_with_the_agents_word(stream, vps, inbox, now):
    run = build.starting_run(stream, vps)
    pokes = inbox.apply([build.status(run, "STREAMING", run=build.report(run))], now)
    stream.refresh_from_db()
    run.refresh_from_db()
    assert (stream.state, run.on_air_at, run.reported_at) == (Status.STREAMING, now, now)
    assert run.report["phase"] == "on_air"
    inbox.apply([build.status(run, "STREAMING")], now + timedelta(seconds=9))
    run.refresh_from_db()
    assert run.on_air_at == now
    assert set(pokes) <= {(stream.pk, stream.owner_id)}


@pytest.mark.django_db(transaction=True)
def test_browsers_hear_of_it_after_the_commit(inbox, now):
    stream = build.stream(build.user())
    run = build.starting_run(stream, build.vps())
    assert inbox.apply([build.status(run, "STREAMING")], now) == {(stream.pk, stream.owner_id): True}


@pytest.mark.django_db(transaction=True)
def test_browsers_hear_at_once_of_what_people_look_at_and_only_of_leaps_in_what_always_moves(inbox, now):
    vps = build.vps()
    run = build.running(build.stream(build.user()), vps)
    words = [
        ({"item_id": 3}, [True]),
        ({"item_id": 3, "position_s": 10.0, "bitrate_kbps": 0.1, "items_played": 1}, [False]),
        ({"item_id": 3, "position_s": 20.5, "bitrate_kbps": 0.11}, []),
        ({"item_id": 3, "position_s": 2.0, "bitrate_kbps": 0.1}, [False]),
        ({"item_id": 4}, [True]),
    ]
    for n, (fields, urgent) in enumerate(words):
        pokes = inbox.apply([build.heartbeat(vps, build.report(run, **fields))], now + timedelta(seconds=10 * n))
        assert list(pokes.values()) == urgent, fields


@pytest.mark.django_db(transaction=True)
def test_of_two_listeners_that_hear_the_same_one_tells_browsers(inbox, now):
    vps = build.vps()
    run = build.running(build.stream(build.user()), vps)
    told = [bool(each.apply([build.heartbeat(vps, build.report(run))], now)) for each in (inbox, Inbox())]
    assert told == [True, False]


def test_a_heartbeat_makes_up_for_a_lost_word(stream, vps, inbox, now):
    run = build.starting_run(stream, vps)
    inbox.apply([build.heartbeat(vps, build.report(run))], now)
    stream.refresh_from_db()
    assert stream.state is Status.STREAMING


@pytest.mark.parametrize(
    ("word", "message", "state", "reason"),
    [
        ("STOPPED", "finished", Status.INACTIVE, EndReason.FINISHED),
        ("ERROR", "rtmp://a/live/SECRET broke", Status.ERROR, EndReason.FAILED),
    ],
)
def test_how_a_run_ends_by_itself(stream, vps, inbox, now, word, message, state, reason):
    run = build.running(stream, vps)
    message = build.status(run, word, message, permanent=True, log_tail=("[FFMPEG] rtmp://a/live/SECRET",))
    inbox.apply([message], now)
    stream.refresh_from_db()
    run.refresh_from_db()
    assert (stream.state, run.reason) == (state, reason)
    assert "SECRET" not in run.end_message + stream.failure_reason + str(run.log_tail)


def test_progress_is_kept_once_however_often_it_comes(stream, vps, inbox, now):
    run = build.starting_run(stream, vps)
    step = StreamProgress(
        stream_id=stream.pk, stage="downloading", progress=30, message="1 of 3 MiB", vps_id=vps.pk,
        timestamp=1.0, run_id=str(run.pk),
    )  # fmt: skip
    inbox.apply([step, step], now)
    assert Progress.objects.get().percent == 30


def test_the_machines_load_is_written_with_our_clock(vps, inbox, now):
    inbox.apply([build.heartbeat(vps, accepting=False)], now)
    vps.refresh_from_db()
    assert (vps.cpu, vps.memory, vps.disk, vps.network_mbit) == (12.0, 34.0, 56.0, 7.0)
    assert (vps.agent_version, vps.accepting, vps.last_heartbeat_at) == ("1.2.3", False, now)


def test_a_pong_measures_by_our_own_clock(vps, inbox, now):
    sent = (now - timedelta(milliseconds=80)).timestamp()
    inbox.apply([Pong(vps_id=vps.pk, timestamp=99.0, active_streams=0, ping_timestamp=sent)], now)
    vps.refresh_from_db()
    assert vps.latency_ms == pytest.approx(80, abs=1)


@pytest.mark.parametrize("word", ["STREAMING", "STOPPED", "ERROR"])
def test_a_word_about_an_old_run_is_dropped(stream, vps, inbox, now, word):
    old = build.running(stream, vps)
    inbox.apply([build.status(old, "STOPPED", "finished")], now)
    build.starting_run(stream, vps)
    inbox.apply([build.status(old, word, run=build.report(old))], now)
    stream.refresh_from_db()
    assert stream.state is Status.STARTING
    assert inbox.counts["old_run"] == 1


def test_a_word_of_another_vps_or_epoch_is_refused(stream, vps, inbox, now):
    run = build.starting_run(stream, vps)
    other = build.vps("other")
    inbox.apply([build.status(run, "STOPPED", vps_id=other.pk)], now)
    inbox.apply([build.status(run, "STREAMING", run=build.report(run, epoch=0))], now)
    stream.refresh_from_db()
    assert stream.state is Status.STARTING
    assert (inbox.counts["foreign_vps"], inbox.counts["old_run"]) == (1, 1)


def test_unknown_streams_runs_and_servers_are_counted_out(stream, vps, inbox, now):
    run = build.starting_run(stream, vps)
    inbox.apply([build.status(run, "STOPPED", run_id="nonsense")], now)
    inbox.apply([build.status(run, "STOPPED", stream_id=10**6)], now)
    inbox.apply([build.heartbeat(vps, vps_id=10**6)], now)
    assert (inbox.counts["unknown_run"], inbox.counts["unknown_vps"]) == (2, 1)
    stream.refresh_from_db()
    assert stream.state is Status.STARTING


def test_reports_are_written_with_every_other_heartbeat_unless_something_changed(stream, vps, inbox, now):
    run = build.running(stream, vps)
    report = build.report(run)

    def written(after_s, **fields):
        inbox.apply([build.heartbeat(vps, build.report(run, **fields))], now + timedelta(seconds=after_s))
        run.refresh_from_db()
        return run.reported_at == now + timedelta(seconds=after_s)

    assert written(0)
    assert not written(5, position_s=5.0)
    assert written(5.1, item_id=7)
    down = (DestinationState(id=report.destinations[0].id, state="reconnecting", since=1.0, reconnects=3),)
    assert written(5.2, item_id=7, destinations=down)
    assert run.reconnects == 3
    assert not written(10.2, item_id=7, destinations=down)
    assert written(15.2, item_id=7, destinations=down)


def test_a_run_that_has_ended_but_is_held_is_written_with_each_heartbeat(stream, vps, ear, inbox, now):
    run = build.running(stream, vps)
    inbox.apply([build.heartbeat(vps, build.report(run))], now)
    inbox.apply([build.status(run, "ERROR", "broken", permanent=True)], now + timedelta(seconds=1))
    for after_s in (2, 4):
        inbox.apply([build.heartbeat(vps, build.report(run))], now + timedelta(seconds=after_s))
        run.refresh_from_db()
        assert run.reported_at == now + timedelta(seconds=after_s)


@pytest.mark.django_db(transaction=True)
def test_what_no_database_can_hold_stops_nothing_behind_it(inbox, now):
    vps = build.vps()
    bad = build.heartbeat(vps, agent_version="a\x00b")
    inbox.apply([bad], now)
    other = build.vps("other", last_heartbeat_at=None)
    inbox.apply([build.heartbeat(other)], now)
    other.refresh_from_db()
    assert other.last_heartbeat_at == now


# ------------------------------------------------------------------------------------------------ time alone


def test_a_start_without_progress_times_out_and_one_with_progress_does_not(alice, vps, now):
    limit = TIMEOUTS[Status.STARTING]
    stuck = build.starting_run(build.stream(alice, "stuck"), vps)
    busy = build.starting_run(build.stream(alice, "busy"), vps)
    then = now + limit + timedelta(seconds=60)
    Progress.objects.create(stream=busy.stream, run=busy, stage="downloading", percent=40, message="", at=now + limit)
    assert resolve_overdue(Status.STARTING, limit, then) == 1
    stuck.stream.refresh_from_db()
    busy.stream.refresh_from_db()
    assert (stuck.stream.state, busy.stream.state) == (Status.ERROR, Status.STARTING)
    assert "«vps-1» made no progress for 300 s" in stuck.stream.failure_reason


def test_silence_from_before_we_listened_proves_nothing(stream, vps, now):
    build.running(stream, vps)
    then = now + timedelta(minutes=10)
    Sweep(listening_since=then - timedelta(seconds=5)).run(then)
    stream.refresh_from_db()
    assert stream.state is Status.STREAMING
    Sweep(listening_since=now).run(then)
    stream.refresh_from_db()
    run = Run.objects.get()
    assert (stream.state, run.left_vps, run.epoch, held(vps.pk)) == (Status.STARTING, vps, 2, 0)
    assert run.interruption == "nothing was heard of «vps-1» for 20 s"


def test_silence_while_nobody_can_be_heard_proves_nothing(stream, alice, vps, now):
    build.running(stream, vps)
    build.starting_run(build.stream(alice, "queued"))
    assert Sweep(listening_since=None).run(now + timedelta(hours=1)) == 0
    stream.refresh_from_db()
    assert stream.state is Status.STREAMING


def test_a_start_waits_until_the_fleet_was_heard_again(stream, vps, now):
    build.starting_run(stream)
    back = now + timedelta(minutes=2)
    sweep = Sweep(listening_since=back)
    assert sweep.run(back + FLEET_HEARD) == 0
    assert sweep.run(back + FLEET_HEARD + timedelta(seconds=1)) == 1


def test_a_start_whose_actor_was_lost_is_queued_again_but_not_each_time(stream, now):
    build.starting_run(stream)
    sweep = Sweep(now)
    then = now + ACTOR_LATE * 2
    assert sweep.queue_late_starts(now) == 0
    assert sweep.queue_late_starts(then) == 1
    assert sweep.queue_late_starts(then + timedelta(seconds=5)) == 0
    assert sweep.queue_late_starts(then + ACTOR_LATE * 2) == 1


def test_a_command_that_was_lost_is_sent_again_once_a_heartbeat_misses_it(stream, vps, ear, inbox, now):
    run = build.starting_run(stream, vps)
    inbox.apply([build.heartbeat(vps)], now)
    assert ear.heard() == []
    later = now + timedelta(seconds=10)
    inbox.apply([build.heartbeat(vps)], later)
    [command] = ear.heard()
    assert isinstance(command, StartStream)
    run.refresh_from_db()
    assert run.commanded_at == later


# ------------------------------------------------------------------------------------------------ what happened


def lines(run):
    return [telling.tell(row.kind, row.facts).words for row in RunEvent.objects.filter(run=run).order_by("id")]


def states(run, state, **fields):
    return build.report(run, destinations=(DestinationState(id=run.stream.outputs.first().pk, state=state, **fields),))


def test_what_happened_on_air_is_written_once_however_many_listen(stream, vps, inbox, now):
    run, other = build.running(stream, vps), Inbox()
    for seconds, state in [(0, "live"), (10, "reconnecting"), (33, "live")]:
        at = now + timedelta(seconds=seconds)
        message = build.heartbeat(vps, states(run, state, since=at.timestamp()), timestamp=at.timestamp())
        for each in (inbox, other):
            each.apply([message], at)
    assert lines(run) == ["place 0: off air, connecting again", "place 0: back on air after 23 s off air"]
    run.refresh_from_db()
    assert sum(happenings.off_air(run.report).values()) == 23


def test_a_word_that_comes_late_tells_nothing_and_overwrites_nothing(stream, vps, inbox, now):
    run = build.running(stream, vps)
    for seconds, state in [(0, "live"), (5, "refused"), (2, "live")]:
        inbox.apply([build.heartbeat(vps, states(run, state, since=1.0), timestamp=1000.0 + seconds)], now)
    run.refresh_from_db()
    assert run.report["destinations"][0]["state"] == "refused"
    assert lines(run) == ["place 0: refused by the server"]


def test_another_listener_goes_on_where_one_left_off(stream, vps, now):
    run = build.running(stream, vps)
    for seconds, slate in [(0, None), (5, "the file is missing"), (12, None)]:
        at = now + timedelta(seconds=seconds)
        Inbox().apply([build.heartbeat(vps, build.report(run, slate=slate), timestamp=at.timestamp())], at)
    assert lines(run) == ["The slate was on air for 7 s: the file is missing"]


def test_a_flood_is_a_few_rows_and_few_queries(stream, vps, inbox, now, django_assert_max_num_queries):
    run = build.running(stream, vps)
    begin = now.replace(second=0, microsecond=0)  # so many lines a minute: 120 s may touch three of them
    for second in range(120):
        at = begin + timedelta(seconds=second)
        report = states(run, "reconnecting" if second % 2 else "live", since=at.timestamp())
        with django_assert_max_num_queries(14):
            inbox.apply([build.heartbeat(vps, report, timestamp=at.timestamp())], at)
    assert RunEvent.objects.count() < 10


def test_a_heartbeat_counts_for_the_charts_and_the_months_traffic(vps, inbox):
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def beat(sent_bytes, second):
        load = Load(cpu=12.0, memory=34.0, disk=56.0, network_mbit=7.0, sent_bytes=sent_bytes)
        return build.heartbeat(vps, load=load, timestamp=float(second))

    unknown = build.heartbeat(vps, vps_id=vps.pk + 99)
    inbox.apply([beat(1_000, 1), unknown], now)
    inbox.beats.minutes.close(now + timedelta(minutes=1))
    inbox.apply([beat(5_000, 61)], now + timedelta(minutes=1))
    closed = inbox.beats.minutes.close(now + timedelta(minutes=2))
    assert [list(readings) for readings in closed.values()] == [[vps.pk]]
    assert traffic.used_this_month([vps.pk], now) == {vps.pk: 4_000}
