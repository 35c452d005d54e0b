"""An operator starts a stream on the VPS of their choice, to test it."""

import pytest

from accounts.models import AuditEntry
from fleet.models import VpsStatus
from streams import actions, starting
from streams.errors import NotReady
from streams.explain import choice_table
from streams.models import Run, Status
from streams.tests import build


@pytest.fixture
def fleet(db):
    return build.vps("best"), build.vps("tested", cpu=90)


@pytest.fixture
def ears(fleet):
    listening = [build.Ear(vps.pk) for vps in fleet]
    yield listening
    for each in listening:
        each.close()


def test_it_goes_there_and_says_why(stream, fleet, ears, operator):
    run = actions.start_on(stream, fleet[1], operator)
    starting.put_on_air(run.pk, build.no_sleep)
    run = Run.objects.get(pk=run.pk)
    assert run.vps == fleet[1]
    assert [len(ear.heard()) for ear in ears] == [0, 1]
    assert "to test this server" in choice_table(run.choice)
    entry = AuditEntry.objects.get(verb="start")
    assert (entry.actor, entry.details["on"]) == (operator, "tested")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": VpsStatus.DRAINING}, "not active"),
        ({"unhealthy": "disk 97 % full"}, "disk 97 % full"),
        ({"max_streams": 0}, "full, 0 of 0"),
        ({"last_heartbeat_at": None}, "no fresh heartbeat"),
    ],
)
def test_one_that_cannot_take_it_is_refused_at_once(stream, operator, db, fields, why):
    build.vps("best")
    with pytest.raises(NotReady, match=why):
        actions.start_on(stream, build.vps("tested", **fields), operator)
    stream.refresh_from_db()
    assert stream.state is Status.INACTIVE
    assert not Run.objects.exists()


def test_one_that_filled_up_meanwhile_is_an_error_and_no_other_is_taken(stream, fleet, operator):
    run = actions.start_on(stream, fleet[1], operator)
    type(fleet[1]).objects.filter(pk=fleet[1].pk).update(max_streams=0)
    starting.put_on_air(run.pk, build.no_sleep)
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "cannot take it: tested (full, 0 of 0)" in stream.failure_reason


def test_once_interrupted_it_goes_wherever_it_can(stream, fleet, ears, operator):
    run = actions.start_on(stream, fleet[1], operator)
    Run.objects.filter(pk=run.pk).update(epoch=2, left_vps=fleet[1])
    starting.put_on_air(run.pk, build.no_sleep)
    assert Run.objects.get(pk=run.pk).vps == fleet[0]
