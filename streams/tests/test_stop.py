from datetime import timedelta

import pytest
from django.utils import timezone

from agent.protocol import StopStream
from fleet.slots import held
from streams import actions, stopping
from streams.converge import resolve_overdue
from streams.errors import WrongState
from streams.inbox import Inbox
from streams.lifecycle import TIMEOUTS
from streams.models import EndReason, Run, Status, Stream
from streams.tests import build


def test_it_is_told_to_its_agent_and_ends_when_the_agent_says_so(stream, alice, vps, ear):
    run = build.running(stream, vps)
    actions.stop(stream, alice)
    stopping.take_off_air(run.pk, build.no_sleep)
    [command] = ear.heard()
    assert command == StopStream(
        stream_id=stream.pk, run_id=str(run.pk), epoch=1, timestamp=command.timestamp, request_id=command.request_id
    )
    Inbox().apply([build.status(run, "STOPPED", "stopped")], timezone.now())
    stream.refresh_from_db()
    run.refresh_from_db()
    assert stream.state is Status.INACTIVE
    assert stream.last_stopped_at is not None
    assert run.reason is EndReason.STOPPED
    assert held(vps.pk) == 0


def test_when_the_agents_word_is_lost_its_next_heartbeat_says_it(stream, alice, vps):
    """One that does not name the run any more; not one from before the order could reach it."""
    run = build.running(stream, vps)
    actions.stop(stream, alice)
    for later, named, state in [
        (1, False, Status.STOPPING), (7, True, Status.STOPPING), (8, False, Status.INACTIVE)
    ]:  # fmt: skip
        reports = [build.report(run, phase="stopping")] if named else []
        Inbox().apply([build.heartbeat(vps, *reports)], timezone.now() + timedelta(seconds=later))
        stream.refresh_from_db()
        assert stream.state is state
    run.refresh_from_db()
    assert (run.reason, held(vps.pk)) == (EndReason.STOPPED, 0)


def test_before_there_is_a_vps_it_is_off_at_once(stream, alice):
    run = actions.start(stream, alice)
    actions.stop(stream, alice)
    stopping.take_off_air(run.pk, build.no_sleep)
    stream.refresh_from_db()
    assert stream.state is Status.INACTIVE


def test_twice_is_refused_and_the_first_goes_on(stream, alice, vps):
    build.running(stream, vps)
    actions.stop(stream, alice)
    with pytest.raises(WrongState, match="already stopping"):
        actions.stop(stream, alice)
    stream.refresh_from_db()
    assert stream.state is Status.STOPPING


def test_off_air_it_is_refused(stream, alice):
    with pytest.raises(WrongState, match="already off air"):
        actions.stop(stream, alice)


def test_the_actor_delivered_twice_is_harmless(stream, alice, vps, ear):
    run = build.running(stream, vps)
    actions.stop(stream, alice)
    stopping.take_off_air(run.pk, build.no_sleep)
    Inbox().apply([build.status(run, "STOPPED")], timezone.now())
    stopping.take_off_air(run.pk, build.no_sleep)
    stream.refresh_from_db()
    assert stream.state is Status.INACTIVE


def test_a_silent_agent_does_not_keep_it_and_the_slot_is_free_once(stream, alice, vps):
    run = build.running(stream, vps)
    actions.stop(stream, alice)
    stopping.take_off_air(run.pk, build.no_sleep)
    limit = TIMEOUTS[Status.STOPPING]
    assert resolve_overdue(Status.STOPPING, limit) == 0
    assert resolve_overdue(Status.STOPPING, limit, timezone.now() + limit * 2) == 1
    run.refresh_from_db()
    released = run.slot_released_at
    stream.refresh_from_db()
    assert (stream.state, run.reason, held(vps.pk)) == (Status.INACTIVE, EndReason.SILENT, 0)
    Inbox().apply([build.status(run, "STOPPED")], timezone.now())
    run.refresh_from_db()
    assert run.slot_released_at == released


def test_an_agent_that_still_plays_it_later_is_told_again(stream, alice, vps, ear):
    run = build.running(stream, vps)
    actions.force_stop(stream, alice)
    Inbox().apply([build.heartbeat(vps, build.report(run))], timezone.now())
    [command] = ear.heard()
    assert (type(command), command.run_id) == (StopStream, str(run.pk))


def test_from_an_error_it_goes_only_while_a_vps_still_holds_the_run(stream, alice, vps):
    run = build.running(stream, vps)
    Inbox().apply([build.status(run, "ERROR", "gave up", permanent=True)], timezone.now())
    with pytest.raises(WrongState):
        actions.stop(stream, alice)
    Run.objects.filter(pk=run.pk).update(reported_at=timezone.now())
    actions.stop(stream, alice)
    stream.refresh_from_db()
    assert stream.state is Status.STOPPING


@pytest.mark.parametrize("state", [Status.STARTING, Status.STREAMING, Status.STOPPING])
def test_force_stop_ends_every_state_on_paper(stream, operator, vps, state):
    build.running(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status=state)
    actions.force_stop(stream, operator)
    stream.refresh_from_db()
    assert stream.state is Status.INACTIVE
    assert held(vps.pk) == 0
    assert operator.audit_entries.get().verb == "force stop"


def test_force_stop_at_rest_is_refused(stream, operator):
    with pytest.raises(WrongState):
        actions.force_stop(stream, operator)
