"""A stream that is well is moved: to where, when the new VPS is told, what the slots are meanwhile, what is said."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agent.protocol import StartStream, StopStream
from fleet.models import Vps
from fleet.slots import held
from streams import actions, interrupting, moving, starting
from streams.converge import Sweep
from streams.errors import NotReady, WrongState
from streams.inbox import Inbox
from streams.models import PlaylistItem, Run, Status, Stream
from streams.snapshot import load
from streams.tests import build


@pytest.fixture
def moved(stream, vps, ear, other, alice, django_capture_on_commit_callbacks):
    """On its way from the first VPS to the second."""
    run = build.running(stream, vps)
    with django_capture_on_commit_callbacks(execute=True):
        actions.move(stream, alice)
    return run


def fresh() -> Run:
    return Run.objects.select_related("stream", "vps").get()


def has_stopped(run, vps, **fields):
    """The old VPS's word."""
    fields = {"epoch": run.epoch, "vps_id": vps.pk} | fields
    Inbox().apply([build.status(run, "STOPPED", "stopped", **fields)], timezone.now())


def test_first_a_place_and_a_stop_then_the_old_one_s_word_then_the_start(moved, stream, vps, ear, other, other_ear):
    run = fresh()
    assert (run.vps, run.left_vps, run.epoch, run.stream.state) == (other, vps, 2, Status.STARTING)
    [stop] = ear.heard()
    assert (type(stop), stop.run_id, stop.epoch) == (StopStream, str(run.pk), 1)
    assert (held(vps.pk), held(other.pk)) == (1, 1), "it still plays there, and there is room for it here"
    starting.put_on_air(run.pk, build.no_sleep)
    assert other_ear.heard() == [], "the old one has not said that it has stopped"
    has_stopped(moved, vps)
    starting.put_on_air(run.pk, build.no_sleep)
    [start] = other_ear.heard()
    assert isinstance(start, StartStream)
    assert (start.config.run_id, start.config.epoch) == (str(run.pk), 2)
    assert (held(vps.pk), held(other.pk)) == (0, 1)
    Inbox().apply([build.heartbeat(other, build.report(fresh()))], timezone.now())
    run = fresh()
    assert (run.stream.state, run.moved_at, run.tries, run.interruption) == (Status.STREAMING, None, 0, "")


def test_the_counts_of_the_fleet_say_the_same(moved, vps, other):
    counted = dict(Vps.objects.with_current_streams().values_list("pk", "current_streams"))
    assert counted == {vps.pk: 1, other.pk: 1}


def test_a_word_that_does_not_come_is_waited_for_a_few_seconds(moved, other_ear, monkeypatch):
    later = fresh().moved_at + timedelta(seconds=moving.WORD_S + 0.1)
    sweep = Sweep(listening_since=later - timedelta(hours=1))
    assert sweep.queue_late_starts(later - timedelta(seconds=1)) == 0
    assert sweep.queue_late_starts(later) == 1
    monkeypatch.setattr("django.utils.timezone.now", lambda: later)
    starting.put_on_air(fresh().pk, build.no_sleep)
    assert len(other_ear.heard()) == 1


@pytest.mark.parametrize("change", [{"epoch": None}, {"epoch": 2}, {"run_id": "none"}, {"vps_id": 0}])
def test_another_word_is_not_it(moved, vps, other, change):
    change = {name: other.pk if name == "vps_id" else value for name, value in change.items()}
    before = fresh().retry_at
    has_stopped(moved, vps, **change)
    assert fresh().retry_at == before
    assert fresh().stream.state is Status.STARTING


def test_the_old_one_is_told_again_by_each_heartbeat_that_names_it(moved, vps, ear):
    ear.heard()
    Inbox().apply([build.heartbeat(vps, build.report(moved))], timezone.now())
    [again] = ear.heard()
    assert (type(again), again.epoch) == (StopStream, 1)
    assert fresh().stream.state is Status.STARTING, "and is not believed"


def test_stopped_on_the_way_it_is_off_air(moved, stream, alice, vps, other):
    from streams import stopping

    actions.stop(stream, alice)
    stopping.take_off_air(fresh().pk, build.no_sleep)
    assert fresh().stream.state is Status.INACTIVE
    assert (held(vps.pk), held(other.pk)) == (0, 0)


def test_nowhere_to_go_it_stays(stream, vps, alice):
    run = build.running(stream, vps)
    with pytest.raises(NotReady, match="it is there now"):
        actions.move(stream, alice)
    run.refresh_from_db()
    assert (run.vps, run.epoch, run.moved_at) == (vps, 1, None)


@pytest.mark.parametrize("trouble", [{"unhealthy": "disk 97 % full"}, {"max_streams": 0}, {"status": "DRAINING"}])
def test_nor_to_one_that_takes_nothing(stream, vps, other, alice, trouble):
    build.running(stream, vps)
    Vps.objects.filter(pk=other.pk).update(**trouble)
    with pytest.raises(NotReady):
        actions.move(stream, alice, other.pk)


def test_only_what_is_on_air_is_moved(stream, vps, other, alice):
    with pytest.raises(WrongState):
        actions.move(stream, alice)
    run = build.running(stream, vps)
    interrupting.interrupt(run, interrupting.Cause.LOST, "gone", timezone.now())
    with pytest.raises(WrongState):
        moving.move(run, "because", timezone.now())


def test_two_move_it_at_once_and_it_moves_once(stream, vps, other):
    run = build.running(stream, vps)
    moving.move(run, "because", timezone.now())
    with pytest.raises(WrongState):
        moving.move(run, "because", timezone.now())
    assert fresh().epoch == 2


def test_it_goes_on_where_it_was(alice, vps, other, other_ear):
    stream = build.stream(alice, files=3)
    items = list(PlaylistItem.objects.order_by("position"))
    run = build.running(stream, vps)
    now = timezone.now()
    report = build.report(run, item_id=items[1].pk, position_s=100.0, duration_s=600.0)
    Inbox().apply([build.heartbeat(vps, report)], now)
    run.refresh_from_db()
    moving.move(run, "because", now + timedelta(seconds=4))
    has_stopped(run, vps)
    starting.put_on_air(run.pk, build.no_sleep)
    config = other_ear.heard()[-1].config
    assert (config.begin_item_id, config.begin_at_s) == (items[1].pk, 104.0)
    assert config.video_files[0].item_id == items[1].pk


def test_the_page_says_where_to_and_why(moved, stream):
    view = load(Stream.objects.get(), timezone.now())
    assert view.headline == "Being moved to «vps-2»: an operator wants it there"
    assert (view.retry, view.can_stop) == (None, True)
    assert view.timeline[0].words == "Moved to another server"
    assert view.timeline[0].message == "from «vps-1» to «vps-2»: an operator wants it there"


def test_one_that_comes_nowhere_is_tried_as_any(moved, vps):
    has_stopped(moved, vps)
    run = fresh()
    assert interrupting.interrupt(run, interrupting.Cause.GAVE_UP, "the playout failed", timezone.now())
    run = fresh()
    assert (run.moved_at, run.tries, run.vps, run.stream.state) == (None, 1, None, Status.STARTING)


def test_try_now_does_not_overtake_the_old_one(moved, stream, alice):
    with pytest.raises(WrongState):
        actions.try_now(stream, alice)
