"""Heartbeats of many VPSes at once: they cost a fixed number of queries, and stay each other's strangers."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agent.protocol import DestinationState, Pong, StopStream
from fleet.models import Vps
from lab.races import at_once
from streams import actions
from streams.inbox import Inbox
from streams.models import Run, RunEvent, Status
from streams.tests import build

MOST_QUERIES = 11
"""Of a batch in which every report is written, savepoints of the test's transaction included."""


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def now():
    return timezone.now()


def fleet(owner, number, streams=3):
    """VPSes by name with the runs they hold."""
    found = {}
    for n in range(number):
        vps = build.vps(f"vps-{owner.name}-{number}-{n}")
        found[vps] = [build.running(build.stream(owner, f"{vps.name}.{s}"), vps) for s in range(streams)]
    return found


def beats(held, **fields):
    return [build.heartbeat(vps, *(build.report(run, **fields) for run in runs)) for vps, runs in held.items()]


def queries_of(inbox, messages, at):
    with CaptureQueriesContext(connection) as queries:
        inbox.apply(messages, at)
    return len(queries)


def test_a_batch_costs_as_many_queries_for_ten_servers_as_for_one(alice, inbox, now):
    counted = []
    for number in (1, 10):
        held = fleet(alice, number)
        costs = [
            queries_of(inbox, beats(held, **fields), now + timedelta(seconds=after_s))
            for after_s, fields in [(0, {}), (5, {"position_s": 5.0}), (10, {"position_s": 10.0}), (15, {"item_id": 3})]
        ]
        counted.append(costs)
    assert counted[0] == counted[1]
    assert max(counted[1]) <= MOST_QUERIES
    assert counted[1][1] < counted[1][0]  # nothing new: VPSes' rows alone


def test_what_a_batch_says_is_all_in_the_database(alice, inbox, now):
    held = fleet(alice, 3)
    inbox.apply(beats(held, item_id=7), now)
    assert set(Run.objects.values_list("report__item_id", "reported_at")) == {(7, now)}
    assert set(Vps.objects.values_list("last_heartbeat_at", "cpu")) == {(now, 12.0)}


def test_what_happened_to_many_at_once_is_a_line_for_each(alice, inbox, now):
    held = fleet(alice, 3, streams=2)
    inbox.apply(beats(held), now)
    lost = [
        build.heartbeat(vps, *(
            build.report(run, destinations=(
                DestinationState(id=run.stream.outputs.first().pk, state="refused", since=1.0, reason="key"),
            ))
            for run in runs
        ))
        for vps, runs in held.items()
    ]  # fmt: skip
    cost = queries_of(inbox, lost, now + timedelta(seconds=5))
    assert RunEvent.objects.count() == 6
    assert cost <= MOST_QUERIES + 1 + 6  # the names of each stream's destinations


def test_what_others_did_meanwhile_counts_although_the_server_says_the_same(stream, alice, vps, ear, inbox, now):
    run = build.running(stream, vps)
    same = build.heartbeat(vps, build.report(run))
    inbox.apply([same], now)
    actions.force_stop(stream, alice)
    inbox.apply([same], now + timedelta(seconds=5))
    [command] = ear.heard()
    assert (type(command), command.run_id) == (StopStream, str(run.pk))


def test_what_somebody_else_wrote_is_put_right_by_the_next_heartbeat_although_it_says_the_same(stream, vps, inbox, now):
    run = build.running(stream, vps)
    inbox.apply([build.heartbeat(vps, build.report(run, item_id=3))], now)
    run.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(report=run.report | {"item_id": 4}, reported_at=now + timedelta(seconds=2))
    inbox.apply([build.heartbeat(vps, build.report(run, item_id=3))], now + timedelta(seconds=5))
    run.refresh_from_db()
    assert run.report["item_id"] == 3


def test_a_word_that_came_late_is_not_taken_for_what_was_written(stream, vps, inbox, now):
    run = build.running(stream, vps)
    for after_s, said_at, item_id in [(0, 1000.0, 3), (1, 998.0, 4), (5, 1005.0, 4)]:
        beat = build.heartbeat(vps, build.report(run, item_id=item_id), timestamp=said_at)
        inbox.apply([beat], now + timedelta(seconds=after_s))
    run.refresh_from_db()
    assert run.report["item_id"] == 4


def test_a_run_that_was_moved_is_not_written_by_the_server_it_left(stream, vps, ear, inbox, now):
    run = build.running(stream, vps)
    inbox.apply([build.heartbeat(vps, build.report(run))], now)
    Run.objects.filter(pk=run.pk).update(epoch=2, vps=build.vps("other"))
    inbox.apply([build.heartbeat(vps, build.report(run, item_id=5))], now + timedelta(seconds=20))
    run.refresh_from_db()
    assert (run.reported_at, run.report["item_id"]) == (now, None)
    [command] = ear.heard()
    assert (type(command), command.epoch) == (StopStream, 1)


def test_of_one_server_nothing_overtakes_anything(stream, vps, ear, inbox, now):
    """Else the heartbeat that no longer names the run would start again what has just failed."""
    run = build.running(stream, vps)
    Run.objects.filter(pk=run.pk).update(commanded_at=now - timedelta(minutes=1))
    over = build.status(run, "ERROR", "broken", permanent=True)
    inbox.apply([build.heartbeat(vps, build.report(run)), over, build.heartbeat(vps)], now)
    stream.refresh_from_db()
    assert (stream.state, ear.heard()) == (Status.ERROR, [])


def test_a_heartbeat_before_the_word_is_applied_before_it(stream, vps, ear, inbox, now):
    run = build.running(stream, vps)
    inbox.apply([build.heartbeat(vps, build.report(run)), build.status(run, "STOPPED", "finished")], now)
    stream.refresh_from_db()
    run.refresh_from_db()
    assert (stream.state, run.reported_at, ear.heard()) == (Status.INACTIVE, now, [])


@pytest.mark.django_db(transaction=True)
def test_one_that_no_database_can_hold_costs_the_others_nothing(inbox, now):
    owner = build.user()
    held = fleet(owner, 3, streams=1)
    said = beats(held, item_id=9)
    bad = list(held)[1]
    said[1] = build.heartbeat(bad, *said[1].runs, agent_version="a\x00b", timestamp=float(2**60))
    inbox.apply(said, now)
    heard = Vps.objects.exclude(pk=bad.pk).values_list("last_heartbeat_at", flat=True)
    assert set(heard) == {now}
    assert Run.objects.filter(report__item_id=9).count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_listener_that_was_started_again_writes_all_it_hears_and_tells_nobody_what_they_know(now):
    held = fleet(build.user(), 3)
    assert len(Inbox().apply(beats(held), now)) == 9
    later = now + timedelta(seconds=5)
    assert Inbox().apply(beats(held, position_s=5.0), later) == {}
    assert set(Run.objects.values_list("reported_at", flat=True)) == {later}


@pytest.mark.django_db
def test_pongs_of_a_fleet_are_written_together(inbox, now):
    vpses = [build.vps(f"vps-{number}") for number in range(10)]
    sent = (now - timedelta(milliseconds=80)).timestamp()
    pongs = [Pong(vps_id=vps.pk, timestamp=1.0, active_streams=0, ping_timestamp=sent) for vps in vpses]
    assert queries_of(inbox, pongs, now) <= 4
    assert all(value == pytest.approx(80, abs=1) for value in Vps.objects.values_list("latency_ms", flat=True))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_listeners_that_hear_all_at_once_neither_stop_each_other_nor_tell_anything_twice():
    held = fleet(build.user(), 8)
    begin = timezone.now()
    Inbox().apply(beats(held), begin)
    outputs = {run.pk: run.stream.outputs.first().pk for runs in held.values() for run in runs}
    inboxes = [Inbox(), Inbox()]
    for round_, state in enumerate(["refused", "live", "refused"], start=1):
        at = begin + timedelta(seconds=5 * round_)
        messages = [
            build.heartbeat(vps, *(
                build.report(run, destinations=(DestinationState(id=outputs[run.pk], state=state, since=1.0),))
                for run in runs
            ), timestamp=at.timestamp())
            for vps, runs in held.items()
        ]  # fmt: skip
        turns = [(inboxes[0], messages), (inboxes[1], messages[::-1])]
        assert (
            at_once(2, lambda turns=turns, at=at: (lambda turn: turn[0].apply(turn[1], at))(turns.pop())) == [None] * 2
        )
    assert RunEvent.objects.count() == 3 * len(outputs)
    assert {run.reported_at for run in Run.objects.all()} == {at}
