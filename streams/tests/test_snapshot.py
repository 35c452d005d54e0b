from datetime import timedelta

import pytest
from django.utils import timezone

from agent.protocol import DestinationState as Said
from agent.protocol import SkippedItem
from fleet.models import Vps
from streams import actions, snapshot
from streams.inbox import Inbox
from streams.models import DestinationState, Progress, Run, Status, Stream
from streams.tests import build


def look(stream, after_s=0.0):
    return snapshot.load(Stream.objects.get(pk=stream.pk), timezone.now() + timedelta(seconds=after_s))


def test_at_rest(stream):
    shown = look(stream)
    assert (shown.state, shown.headline, shown.vps, shown.uptime_s) == (Status.INACTIVE, "Off air", "", None)
    assert (shown.can_start, shown.can_stop, shown.can_delete) == (True, False, True)
    assert {each.state for each in shown.destinations} == {DestinationState.IDLE}


def test_while_starting_it_shows_the_newest_progress(stream, vps):
    run = build.starting_run(stream, vps)
    for percent in (5, 10):
        Progress.objects.create(stream=stream, run=run, stage="command_sent", percent=percent, message="…")
    shown = look(stream)
    assert (shown.progress.percent, shown.vps) == (10, "vps-1")
    assert (shown.can_start, shown.can_stop, shown.can_delete) == (False, True, False)
    assert {each.state for each in shown.destinations} == {DestinationState.CONNECTING}


def test_a_start_on_a_vps_that_fell_silent_says_so(stream, vps):
    build.starting_run(stream, vps)
    assert not look(stream).is_stale
    silent = look(stream, after_s=30)
    assert (silent.is_stale, silent.headline) == (True, "Starting; its VPS is silent")


def test_on_air_it_shows_what_the_agent_says(stream, vps):
    run = build.running(stream, vps)
    first, second = stream.items.all()
    one, two = stream.outputs.all()
    stream.outputs.filter(pk=two.pk).update(enabled=False)
    report = build.report(
        run,
        item_id=second.pk,
        position_s=61.0,
        duration_s=120.0,
        next_item_ids=(first.pk, 10**9),
        bitrate_kbps=3000.0,
        skipped=(SkippedItem(item_id=first.pk, reason="no video"), SkippedItem(item_id=10**9, reason="x")),
        destinations=(Said(id=one.pk, state="reconnecting", since=1_700_000_000.0, reason="reset", reconnects=2),),
    )
    Inbox().apply([build.heartbeat(vps, report)], timezone.now())
    shown = look(stream, after_s=5)
    now = shown.now_playing
    assert (now.title, now.index, now.position_s) == ("clip 1", 1, pytest.approx(66, abs=2))
    assert shown.next_titles == ("clip 0",)
    assert shown.skipped == ("clip 0: no video",)
    assert shown.uptime_s == pytest.approx(5, abs=2)
    assert [each.state for each in shown.destinations] == ["reconnecting", "disabled"]
    assert (shown.destinations[0].reason, shown.destinations[0].reconnects) == ("reset", 2)
    assert shown.headline == "On air at 0 of 1 destinations"
    assert not shown.is_stale
    silent = look(stream, after_s=60)
    assert (silent.is_stale, silent.now_playing.position_s) == (True, 61)
    assert "its VPS is silent" in silent.headline


@pytest.mark.parametrize(
    ("fields", "position_s"),
    [({"duration_s": 64.0}, 64.0), ({"duration_s": 60.0}, 61.0), ({"slate": "paused", "paused": True}, 61.0)],
)
def test_a_position_goes_on_by_itself_but_not_behind_the_end_and_not_under_the_slate(stream, vps, fields, position_s):
    run = build.running(stream, vps)
    report = build.report(run, item_id=stream.items.first().pk, position_s=61.0, **fields)
    Inbox().apply([build.heartbeat(vps, report)], timezone.now())
    assert look(stream, after_s=5).now_playing.position_s == position_s


def test_a_server_that_is_heard_of_but_does_not_name_the_run_is_not_believed_for_long(stream, vps):
    build.running(stream, vps)
    then = timezone.now() + timedelta(seconds=40)
    Vps.objects.update(last_heartbeat_at=then)
    assert not look(stream, after_s=25).is_stale
    assert look(stream, after_s=40).is_stale


def test_a_playout_that_ended_by_itself_is_not_called_on_air(stream, vps):
    run = build.running(stream, vps)
    Inbox().apply([build.heartbeat(vps, build.report(run, phase="backing_off"))], timezone.now())
    assert look(stream).headline == "Interrupted: the player ended by itself and is started again"
    assert "its VPS is silent" in look(stream, after_s=60).headline


def test_a_start_nobody_has_taken_up_says_that_it_waits(stream, alice):
    actions.start(stream, alice)
    shown = look(stream).progress
    assert (shown.percent, shown.stage) == (0, "queued")
    assert "waiting for a worker" in shown.message


def test_an_absurd_word_of_an_agent_breaks_no_page(stream, vps):
    run = build.running(stream, vps)
    one = stream.outputs.first()
    absurd = (Said(id=one.pk, state="teleporting", since=1e300, reason="rtmp://host/app/THEKEY refused"),)
    Inbox().apply([build.heartbeat(vps, build.report(run, destinations=absurd))], timezone.now())
    shown = look(stream).destinations[0]
    assert (shown.state, shown.since) == (DestinationState.CONNECTING, None)
    assert "THEKEY" not in shown.reason


def test_a_failure_is_the_headline_and_can_be_stopped_while_held(stream, vps):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "all files failed", permanent=True)], timezone.now())
    assert look(stream).headline == "all files failed"
    assert not look(stream).can_stop
    Run.objects.filter(pk=run.pk).update(reported_at=timezone.now())
    assert look(stream).can_stop


def test_the_timeline_is_newest_first_with_who_did_it(stream, alice, vps):
    from streams import actions

    actions.start(stream, alice)
    actions.force_stop(stream, None)
    rows = look(stream).timeline
    assert [(row.event, row.actor) for row in rows] == [("forced", ""), ("start", alice.name)]


@pytest.mark.parametrize("count", [1, 40])
def test_lists_cost_the_same_however_long(alice, vps, count, django_assert_num_queries):
    for number in range(count):
        stream = build.stream(alice, f"stream {number}", files=1, outputs=1)
        if number % 2:
            build.running(stream, vps)
        else:
            build.starting_run(stream, vps)
    streams = list(Stream.objects.all())
    with django_assert_num_queries(5):
        shown = snapshot.snapshots_for(streams, timezone.now())
    assert len(shown) == count


def test_the_list_page_of_200_streams_takes_at_most_14_queries(alice, vps, client, django_assert_max_num_queries):
    for number in range(200):
        build.stream(alice, f"stream {number}", files=1, outputs=1)
    client.force_login(alice)
    with django_assert_max_num_queries(14):
        assert client.get("/streams/").status_code == 200
