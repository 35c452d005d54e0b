"""A server dies, gives up, comes back: where the stream is then, under which epoch, and what is said meanwhile."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agent.protocol import DestinationState, StartStream, SteerStream, StopStream
from fleet.models import Vps
from fleet.slots import held
from streams import actions, commanding, starting, stopping
from streams.converge import LONGEST_GAP, Sweep, move_lost
from streams.errors import WrongState
from streams.inbox import Inbox
from streams.models import EndReason, PlaylistItem, Run, Status, Stream
from streams.snapshot import load
from streams.tests import build

SILENT = timedelta(seconds=21)


def hear(vps, at):
    Vps.objects.filter(pk=vps.pk).update(last_heartbeat_at=at)


def again(run, at=None):
    """Its next try: at once."""
    Run.objects.filter(pk=run.pk).update(retry_at=at or timezone.now())
    starting.put_on_air(run.pk, build.no_sleep)
    return Run.objects.select_related("stream", "vps").get(pk=run.pk)


def test_a_silent_server_loses_its_stream_to_another(stream, vps, ear, other, other_ear):
    run = build.running(stream, vps)
    hear(vps, build.ago(21))
    assert move_lost(timezone.now()) == 1
    fresh = Run.objects.get()
    assert (fresh.epoch, fresh.vps, fresh.left_vps, held(vps.pk)) == (2, None, vps, 0)
    [stop] = ear.heard()
    assert (type(stop), stop.run_id, stop.epoch) == (StopStream, str(run.pk), 1)
    starting.put_on_air(run.pk, build.no_sleep)
    fresh.refresh_from_db()
    [start] = other_ear.heard()
    assert isinstance(start, StartStream)
    assert (start.config.run_id, start.config.epoch) == (str(run.pk), 2)
    assert (fresh.vps, held(other.pk), fresh.retry_at) == (other, 1, None)
    assert {"name": "vps-1", "why": "no fresh heartbeat"} in fresh.choice["passed_over"]
    Inbox().apply([build.heartbeat(other, build.report(fresh))], timezone.now())
    stream.refresh_from_db()
    fresh.refresh_from_db()
    assert (stream.state, fresh.interruption) == (Status.STREAMING, "")
    assert Stream.objects.get().transitions.filter(event="interrupted").count() == 1


def test_an_agent_that_comes_back_with_the_old_epoch_is_told_to_stop_and_not_believed(stream, vps, ear, other):
    run = build.running(stream, vps)
    hear(vps, build.ago(21))
    move_lost(timezone.now())
    ear.heard()
    inbox = Inbox()
    inbox.apply(
        [build.heartbeat(vps, build.report(run)), build.status(run, "STREAMING", run=build.report(run))], timezone.now()
    )
    [stop] = ear.heard()
    assert (type(stop), stop.run_id, stop.epoch) == (StopStream, str(run.pk), 1)
    for word in ("STOPPED", "ERROR"):
        inbox.apply([build.status(run, word, "finished", epoch=1)], timezone.now())
    stream.refresh_from_db()
    assert stream.state is Status.STARTING


@pytest.mark.parametrize(
    ("states", "is_taken_back"),
    [({"live": -100.0}, True), ({"live": -100.0, "disabled": -5.0}, True), ({"live": -5.0}, False),
     ({"live": -100.0, "reconnecting": -30.0}, False), ({}, False)],
)  # fmt: skip
def test_silence_counts_as_off_air_until_the_server_says_that_it_was_not(stream, vps, now, states, is_taken_back):
    run = build.running(stream, vps)
    hear(vps, now - SILENT)
    move_lost(now)
    silent = stream.transitions.get(event="interrupted")
    assert (silent.vps, silent.heard_at) == (vps, now - SILENT)
    places = tuple(
        DestinationState(id=number, state=state, since=now.timestamp() + ago)
        for number, (state, ago) in enumerate(states.items())
    )
    back = build.heartbeat(vps, build.report(run, destinations=places), timestamp=now.timestamp())
    Inbox().apply([back], now)
    silent.refresh_from_db()
    assert (silent.heard_at is None) is is_taken_back


def test_what_was_said_of_the_old_epoch_does_not_end_the_new_one_on_the_same_server(stream, vps, ear):
    run = build.running(stream, vps)
    hear(vps, build.ago(21))
    move_lost(timezone.now())
    hear(vps, timezone.now())
    back = again(run)
    assert (back.vps, back.epoch) == (vps, 2)
    inbox = Inbox()
    inbox.apply([build.status(run, "STOPPED", "finished", epoch=1, vps_id=vps.pk)], timezone.now())
    stream.refresh_from_db()
    assert (stream.state, inbox.counts["old_run"]) == (Status.STARTING, 1)


def test_when_the_old_server_has_let_go_the_new_one_is_told_that_the_keys_are_free(stream, vps, ear, other, other_ear):
    run = build.running(stream, vps)
    hear(vps, build.ago(21))
    move_lost(timezone.now())
    hear(other, timezone.now())
    said = build.status(run, "STOPPED", "stopped", epoch=1)
    Inbox().apply([said], timezone.now())
    assert other_ear.heard() == [], "nobody waits for them yet"
    again(run)
    other_ear.heard()
    Inbox().apply([said], timezone.now())
    [retry] = other_ear.heard()
    assert (type(retry), retry.order, retry.run_id) == (SteerStream, "retry", str(run.pk))
    Inbox().apply([build.status(run, "STOPPED", "stopped", epoch=2, vps_id=other.pk)], timezone.now())
    assert other_ear.heard() == []


def test_where_it_failed_last_comes_last(stream, vps, ear, other, other_ear):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "the playout failed 4 times: killed", epoch=1)], timezone.now())
    stream.refresh_from_db()
    assert stream.state is Status.STARTING
    assert again(run).vps == other
    Inbox().apply([build.status(again(run), "ERROR", "once more", epoch=2)], timezone.now())
    Vps.objects.filter(pk=vps.pk).update(status="DRAINING")
    assert again(run).vps == other


def test_while_it_waits_the_page_says_why_and_until_when(stream, vps, now):
    run = build.running(stream, vps)
    Run.objects.filter(pk=run.pk).update(report={"epoch": 1, "paused": True})
    Inbox().apply([build.status(run, "ERROR", "the playout failed", epoch=1)], now)
    due = Run.objects.get().retry_at
    assert 30 <= (due - now).total_seconds() <= 33
    view = load(Stream.objects.get(), now)
    words = "Interrupted: the playout failed"
    assert (view.headline, view.paused, view.vps, view.can_stop) == (words, False, "", True)
    assert (view.retry.number, view.retry.most, view.retry.at) == (1, 30, due)
    assert view.retry.in_s == (due - now).total_seconds()


def test_it_is_not_tried_before_its_time_and_then_by_itself(stream, vps, ear, now):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "the playout failed", epoch=1)], now)
    starting.put_on_air(run.pk, build.no_sleep)
    assert ear.heard() == []
    sweep = Sweep(listening_since=now - timedelta(hours=1))
    assert sweep.queue_late_starts(now + timedelta(seconds=29)) == 0
    assert sweep.queue_late_starts(now + timedelta(seconds=34)) == 1
    assert sweep.queue_late_starts(now + timedelta(seconds=35)) == 0


def test_after_its_tries_it_is_an_error_with_the_reason_and_the_number(stream, vps, now):
    Stream.objects.update(max_restarts=1)
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "the playout failed", epoch=1)], now)
    Vps.objects.filter(pk=vps.pk).update(max_streams=0)
    again(run)
    stream.refresh_from_db()
    run.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "No VPS is free: vps-1 (full, 0 of 0)" in stream.failure_reason
    assert stream.failure_reason.endswith("(given up after one try)")
    assert (run.reason, held(vps.pk)) == (EndReason.NO_VPS, 0)


def test_it_begins_again_with_the_item_it_was_at(alice, vps, ear):
    stream = build.stream(alice, files=4)
    items = list(PlaylistItem.objects.order_by("position"))
    run = build.running(stream, vps)
    inbox = Inbox()
    inbox.apply([build.heartbeat(vps, build.report(run, item_id=items[2].pk))], timezone.now())
    inbox.apply([build.status(run, "ERROR", "the playout failed", epoch=1)], timezone.now())
    again(run)
    config = ear.heard()[-1].config
    assert [file.item_id for file in config.video_files] == [items[place].pk for place in (2, 3, 0, 1)]
    Stream.objects.update(loop=False)
    rest = commanding.config_of(Run.objects.select_related("stream").get()).video_files
    assert [file.item_id for file in rest] == [items[2].pk, items[3].pk]
    # Its owner starts it again after the last try: the same.
    inbox.apply([build.status(run, "ERROR", "hopeless", epoch=2, permanent=True)], timezone.now())
    assert build.start_fully(stream, alice).first_item_id == items[2].pk


def test_stopped_while_it_waits_it_is_off_at_once(stream, alice, vps, now):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "the playout failed", epoch=1)], now)
    actions.stop(stream, alice)
    stopping.take_off_air(run.pk, build.no_sleep)
    again(run)
    stream.refresh_from_db()
    assert (stream.state, Run.objects.holding().count()) == (Status.INACTIVE, 0)


@pytest.mark.parametrize("message", ["stopped", "replaced by a newer run"])
def test_a_server_that_lets_go_of_it_is_left(stream, vps, now, message):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "STOPPED", message, epoch=1)], now)
    stream.refresh_from_db()
    run.refresh_from_db()
    assert (stream.state, run.epoch, run.retry_at) == (Status.STARTING, 2, now)


def test_a_start_that_was_overtaken_by_a_move_is_not_sent(stream, vps, ear):
    run = build.starting_run(stream, vps)
    hear(vps, build.ago(21))
    move_lost(timezone.now())
    ear.heard()
    with pytest.raises(WrongState):
        commanding.send_start(run, timezone.now())
    assert ear.heard() == []


def test_on_air_of_the_old_epoch_cannot_overtake_the_move(stream, vps):
    from streams import interrupting

    run = build.starting_run(stream, vps)
    hear(vps, build.ago(21))
    move_lost(timezone.now())
    assert not interrupting.on_air(run, timezone.now())
    stream.refresh_from_db()
    assert stream.state is Status.STARTING


def test_a_listener_that_stood_still_has_heard_nothing(stream, vps, now):
    build.running(stream, vps)
    hear(vps, now)
    sweep = Sweep(listening_since=now - timedelta(hours=1))
    sweep.run(now)
    woken = now + LONGEST_GAP + SILENT
    assert sweep.run(woken) == 0
    stream.refresh_from_db()
    assert stream.state is Status.STREAMING
    for second in range(5, 21, 5):
        assert sweep.run(woken + timedelta(seconds=second)) == 0
    assert sweep.run(woken + timedelta(seconds=25)) > 0


def test_silence_counts_only_while_we_listen(stream, vps, now):
    build.running(stream, vps)
    hear(vps, now - timedelta(minutes=10))
    assert Sweep(listening_since=now - timedelta(seconds=19)).run(now) == 0
    assert Sweep(listening_since=None).run(now) == 0
    assert Sweep(listening_since=now - SILENT).run(now) > 0


def test_reports_of_the_new_server_are_taken_although_its_clock_is_behind(stream, vps, other, other_ear, now):
    run = build.running(stream, vps)
    inbox = Inbox()
    inbox.apply([build.heartbeat(vps, build.report(run, position_s=5.0), timestamp=1000.0)], now)
    hear(vps, build.ago(21))
    hear(other, now)
    move_lost(now)
    moved = again(run)
    inbox.apply([build.heartbeat(other, build.report(moved, position_s=1.0), timestamp=970.0)], now)
    moved.refresh_from_db()
    assert (moved.report["epoch"], moved.report["position_s"]) == (2, 1.0)
