import json
from dataclasses import replace

import pytest
import redis
from django.conf import settings
from django.utils import timezone

from agent.protocol import StartStream, UpdateStream
from fleet import commands
from fleet.models import Vps
from fleet.slots import held
from lab.races import at_once
from media_library.models import FileStatus, VideoFile
from streams import actions, commanding, starting
from streams.errors import KeyInUse, NotReady, OverLimit, WrongState
from streams.models import EndReason, Progress, Run, Status, Stream, StreamDestination, Transition
from streams.tests import build


def test_it_goes_from_rest_to_a_command_an_agent_hears(stream, alice, vps, ear):
    run = build.start_fully(stream, alice)
    stream.refresh_from_db()
    assert stream.state is Status.STARTING
    assert stream.last_started_at is not None
    assert (run.vps, run.epoch) == (vps, 1)
    assert run.commanded_at is not None
    [command] = ear.heard()
    assert isinstance(command, StartStream)
    assert command.config.run_id == str(run.pk)
    assert [item.title for item in command.config.video_files] == ["clip 0", "clip 1"]
    assert [push.id for push in command.config.push_urls] == [row.pk for row in stream.outputs.all()]
    assert command.config.push_urls[0].key == stream.outputs.first().destination.key()
    assert command.config.fingerprint == run.fingerprint


def test_progress_goes_from_five_to_ten_percent_and_the_last_start_is_forgotten(stream, alice, vps, ear):
    old = build.starting_run(stream)
    Progress.objects.create(stream=stream, run=old, stage="streaming", percent=100, message="on air")
    starting.give_up(old.pk)
    build.start_fully(stream, alice)
    rows = list(Progress.objects.order_by("id").values_list("stage", "percent", "message"))
    assert rows == [
        ("preparing", 5, "sending the command"),
        ("command_sent", 10, "command sent, waiting for the agent"),
    ]


def test_it_is_audited_and_on_the_timeline(stream, alice, vps):
    actions.start(stream, alice)
    row = Transition.objects.get()
    assert (row.event, row.actor) == ("start", alice)
    assert alice.audit_entries.get().verb == "start"


def test_the_actor_is_queued_after_the_commit(stream, alice, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        run = actions.start(stream, alice)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        queued = [json.loads(raw) for raw in client.hvals("dramatiq:default.msgs")]
        client.flushdb()
    assert ["start_stream", [str(run.pk)]] in [[each["actor_name"], each["args"]] for each in queued]


def test_with_no_vps_it_is_an_error_with_the_reason_and_nothing_held(stream, alice):
    full = build.vps("full", max_streams=0)
    build.vps("gone", last_heartbeat_at=build.ago(60))
    run = build.start_fully(stream, alice)
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "full (full, 0 of 0)" in stream.failure_reason
    assert "gone (no fresh heartbeat)" in stream.failure_reason
    assert run.reason is EndReason.NO_VPS
    assert held(full.pk) == 0
    assert not Run.objects.holding().exists()


def test_it_starts_again_from_an_error(stream, alice, vps, ear):
    failed = build.starting_run(stream)
    starting.give_up(failed.pk)
    assert build.start_fully(stream, alice).vps == vps


@pytest.mark.parametrize("state", [Status.STARTING, Status.STREAMING, Status.STOPPING])
def test_it_is_refused_in_every_other_state(stream, alice, vps, state):
    build.starting_run(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status=state)
    with pytest.raises(WrongState):
        actions.start(stream, alice)
    assert Run.objects.count() == 1


def test_over_the_package_it_is_refused_and_changes_nothing(alice, vps):
    alice.package = build.package(streams=1)
    alice.save(update_fields=["package"])
    build.running(build.stream(alice, "first"), vps)
    second = build.stream(alice, "second")
    with pytest.raises(OverLimit, match="allows 1 streams"):
        actions.start(second, alice)
    second.refresh_from_db()
    assert second.state is Status.INACTIVE
    assert not second.runs.exists()


def test_a_key_on_air_elsewhere_is_refused_with_the_name_of_the_stream(alice, vps):
    first = build.stream(alice, "Night channel", outputs=0)
    second = build.stream(alice, "Day channel", outputs=0)
    for stream in (first, second):
        place = build.destination(alice, f"Twitch of {stream.title}", key="same-key")
        StreamDestination.objects.create(stream=stream, destination=place)
    build.running(first, vps)
    with pytest.raises(KeyInUse, match="«Night channel» is on air"):
        actions.start(second, alice)


def test_a_key_on_air_in_another_account_is_refused_without_saying_whose(alice, bob, vps):
    theirs, mine = build.stream(bob, "Bobs night channel", outputs=0), build.stream(alice, "Mine", outputs=0)
    for stream, url in [(theirs, "rtmp://live.example.org/app/"), (mine, "RTMP://Live.Example.ORG:1935/app")]:
        place = build.destination(stream.owner, f"of {stream.owner}", key="same-key", url=url)
        StreamDestination.objects.create(stream=stream, destination=place)
    build.running(theirs, vps)
    with pytest.raises(KeyInUse) as refused:
        actions.start(mine, alice)
    assert "in another account" in str(refused.value)
    assert "Bob" not in str(refused.value)
    assert not mine.runs.exists()


def test_the_same_key_switched_off_disturbs_nobody(alice, vps):
    place = build.destination(alice)
    first, second = build.stream(alice, "first"), build.stream(alice, "second")
    StreamDestination.objects.create(stream=first, destination=place, enabled=False)
    StreamDestination.objects.create(stream=second, destination=place)
    build.running(first, vps)
    actions.start(second, alice)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda stream: stream.items.all().delete(), "playlist is empty"),
        (lambda stream: stream.outputs.update(enabled=False), "switched off"),
        (lambda stream: VideoFile.objects.update(status=FileStatus.FAILED), "not ready"),
    ],
)
def test_what_rotted_since_it_was_saved_is_said(stream, alice, spoil, words):
    spoil(stream)
    with pytest.raises(NotReady, match=words):
        actions.start(stream, alice)


def test_the_preferred_vps_is_taken_when_it_can_be(alice, vps):
    worse = build.vps("worse", cpu=90)
    preferring = build.stream(alice, preferred_vps=worse)
    assert build.start_fully(preferring, alice).vps == worse
    Vps.objects.filter(pk=worse.pk).update(status="DRAINING")
    other = build.stream(alice, "other", preferred_vps=worse)
    assert build.start_fully(other, alice).vps == vps


# --------------------------------------------------------------------- delivered twice, killed in the middle


def test_the_actor_delivered_twice_changes_nothing_more(stream, alice, vps, ear):
    run = build.start_fully(stream, alice)
    starting.put_on_air(run.pk, build.no_sleep)
    assert held(vps.pk) == 1
    assert Run.objects.get().vps == vps
    assert Progress.objects.count() == 2
    first, second = ear.heard()
    assert first.config.fingerprint == second.config.fingerprint, "signed addresses may be a second apart"


def test_killed_before_anything_was_done(stream, alice, vps, ear):
    run = actions.start(stream, alice)
    starting.put_on_air(run.pk, build.no_sleep)
    assert len(ear.heard()) == 1


def test_killed_after_the_slot_was_taken_keeps_that_slot(stream, alice, vps, ear, monkeypatch):
    run = actions.start(stream, alice)
    monkeypatch.setattr(starting, "_deliver", lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        starting.put_on_air(run.pk, build.no_sleep)
    monkeypatch.undo()
    build.vps("emptier", cpu=0, memory=0)
    starting.put_on_air(run.pk, build.no_sleep)
    run.refresh_from_db()
    assert run.vps == vps
    assert len(ear.heard()) == 1
    assert Run.objects.holding().count() == 1


def test_an_actor_that_comes_too_late_does_nothing(stream, alice, vps, ear):
    run = actions.start(stream, alice)
    actions.force_stop(stream, alice)
    starting.put_on_air(run.pk, build.no_sleep)
    assert ear.heard() == []
    assert held(vps.pk) == 0


def test_nobody_listening_is_tried_four_times_then_said(stream, alice, vps):
    run = actions.start(stream, alice)
    pauses = []
    starting.put_on_air(run.pk, pauses.append)
    assert pauses == [1.0, 2.0, 4.0]
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "«vps-1» does not take commands" in stream.failure_reason
    assert held(vps.pk) == 0


def test_redis_away_is_tried_again(stream, alice, vps, ear, monkeypatch):
    real, fails = commands.publish, [redis.ConnectionError("away"), redis.TimeoutError("slow")]
    monkeypatch.setattr(commands, "publish", lambda *args: (_ for _ in ()).throw(fails.pop()) if fails else real(*args))
    build.start_fully(stream, alice)
    assert len(ear.heard()) == 1


def test_a_destination_that_leads_inside_is_refused_at_the_start_too(stream, alice, vps, settings):
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    build.start_fully(stream, alice)
    stream.refresh_from_db()
    assert "private network" in stream.failure_reason
    assert held(vps.pk) == 0


def test_a_change_before_the_command_is_in_the_command(stream, alice, vps, ear, django_capture_on_commit_callbacks):
    run = actions.start(stream, alice)
    with django_capture_on_commit_callbacks(execute=True):
        actions.set_output_enabled(stream.outputs.first(), False, alice)
    starting.put_on_air(run.pk, build.no_sleep)
    [command] = ear.heard()
    assert not isinstance(command, UpdateStream)
    assert command.config.push_urls[0].enabled is False


def test_a_change_after_the_run_was_read_is_in_the_command(stream, alice, vps, ear):
    run = build.starting_run(stream, vps)
    actions.edit(stream, replace(actions.editing.spec_of(stream), loop=False, order="random"), alice)
    commanding.send_start(run, timezone.now())
    config = ear.heard()[0].config
    assert (config.loop, config.order) == (False, "random")
    run.refresh_from_db()
    assert run.fingerprint == config.fingerprint


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_twenty_starts_at_once_one_run_is_made():
    stream = build.stream(build.user(package=build.package(streams=5)))
    outcomes = at_once(20, lambda: actions.start(Stream.objects.get(pk=stream.pk), None))
    assert outcomes.count(None) == 1
    assert {type(each) for each in outcomes if each} == {WrongState}
    assert Run.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_starts_at_once_never_pass_the_package():
    owner = build.user(package=build.package(streams=2))
    waiting = [build.stream(owner, f"stream {number}") for number in range(8)]
    outcomes = at_once(8, lambda: actions.start(waiting.pop(), None))
    assert outcomes.count(None) == 2
    assert {type(each) for each in outcomes if each} == {OverLimit}
    assert Stream.objects.on_air().count() == 2
