import pytest

from lab.races import at_once
from streams import lifecycle
from streams.errors import WrongState
from streams.lifecycle import END_REASONS, TIMEOUTS, TRANSITIONS, Event
from streams.models import EndReason, Run, Status, Stream, Transition
from streams.tests import build


@pytest.mark.parametrize("status", [status for status in Status if not status.is_resting])
def test_every_state_that_does_not_rest_times_out_into_one_that_does(status):
    assert status in TIMEOUTS
    assert TRANSITIONS[(status, Event.TIMED_OUT)].is_resting


def test_from_every_state_there_is_a_way_to_rest_and_back_on_air():
    def reachable(status):
        seen, todo = set(), [status]
        while todo:
            here = todo.pop()
            seen.add(here)
            todo += [new for (old, _), new in TRANSITIONS.items() if old is here and new not in seen]
        return seen

    for status in Status:
        assert {Status.INACTIVE, Status.ERROR, Status.STREAMING} <= reachable(status)


def test_every_edge_into_rest_says_why_the_run_ended():
    ending = {edge for edge, new in TRANSITIONS.items() if new.is_resting}
    assert ending == set(END_REASONS)


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("event", list(Event))
def test_fire_does_what_the_table_says_and_nothing_else(alice, vps, status, event):
    stream = build.stream(alice)
    run = build.starting_run(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status=status)
    run_id = Run.objects.create(stream=stream).pk if event is Event.START else run.pk
    before = Transition.objects.count()
    wanted = TRANSITIONS.get((status, event))
    if wanted is None:
        with pytest.raises(WrongState):
            lifecycle.fire(stream.pk, event, run_id=run_id)
        stream.refresh_from_db()
        assert (stream.status, Transition.objects.count()) == (status, before)
        return
    row = lifecycle.fire(stream.pk, event, run_id=run_id, message="why")
    stream.refresh_from_db()
    assert (stream.status, row.old, row.new, row.event, row.message) == (wanted, status, wanted, event, "why")
    run.refresh_from_db()
    assert (run.slot_released_at is not None) == wanted.is_resting


def test_a_message_of_an_earlier_run_changes_nothing(stream, vps):
    old = build.starting_run(stream, vps)
    lifecycle.fire(stream.pk, Event.FAILED, run_id=old.pk)
    build.starting_run(stream, vps)
    with pytest.raises(WrongState):
        lifecycle.fire(stream.pk, Event.LIVE, run_id=old.pk)
    stream.refresh_from_db()
    assert stream.state is Status.STARTING


def test_the_slot_is_given_back_once_and_the_first_reason_stays(stream, vps):
    run = build.running(stream, vps)
    lifecycle.fire(stream.pk, Event.FAILED, run_id=run.pk, message="the playout failed")
    run.refresh_from_db()
    first = (run.ended_at, run.slot_released_at, run.end_reason, run.end_message)
    lifecycle.fire(stream.pk, Event.STOP, run_id=run.pk)
    lifecycle.fire(stream.pk, Event.STOPPED, run_id=run.pk)
    run.refresh_from_db()
    assert (run.ended_at, run.slot_released_at, run.end_reason, run.end_message) == first
    assert run.reason is EndReason.FAILED


def test_a_failure_is_kept_in_words_until_the_next_start(stream, vps):
    run = build.starting_run(stream, vps)
    lifecycle.fire(stream.pk, Event.FAILED, run_id=run.pk, message="no room")
    stream.refresh_from_db()
    assert stream.failure_reason == "no room"
    build.starting_run(stream, vps)
    stream.refresh_from_db()
    assert stream.failure_reason == ""


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_twenty_threads_that_start_one_stream_one_wins():
    stream = build.stream(build.user())

    def start():
        run = Run.objects.create(stream=stream)
        lifecycle.fire(stream.pk, Event.START, run_id=run.pk)

    outcomes = at_once(20, start)
    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType"] + ["WrongState"] * 19
    assert Transition.objects.filter(event=Event.START).count() == 1
