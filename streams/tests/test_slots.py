import pytest
from django.db import connection, transaction
from django.utils import timezone

from fleet import slots
from fleet.candidates import candidates
from fleet.models import Vps
from lab.races import at_once
from streams import lifecycle, starting
from streams.lifecycle import Event
from streams.models import Run, Status, Stream
from streams.tests import build


def test_a_slot_is_what_a_run_holds(alice, vps):
    assert slots.held(vps.pk) == 0
    run = build.running(build.stream(alice), vps)
    assert slots.held(vps.pk) == 1
    lifecycle.fire(run.stream_id, Event.FAILED, run_id=run.pk)
    assert slots.held(vps.pk) == 0


@pytest.mark.parametrize(
    "spoil",
    [{"status": "DRAINING"}, {"accepting": False}, {"last_heartbeat_at": None}, {"max_streams": 0}],
)
def test_there_is_room_only_where_one_may_start(vps, spoil):
    with transaction.atomic():
        assert slots.lock_with_room(vps.pk, timezone.now())
        Vps.objects.filter(pk=vps.pk).update(**spoil)
        assert not slots.lock_with_room(vps.pk, timezone.now())
        assert not slots.lock_with_room(10**6, timezone.now())


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_it_refuses_to_be_used():
    with pytest.raises(slots.OutsideTransactionError):
        slots.lock_with_room(1, timezone.now())


def test_candidates_carry_counts_and_history_in_two_queries(alice, vps, django_assert_num_queries):
    good = build.running(build.stream(alice), vps)
    lifecycle.fire(good.stream_id, Event.FAILED, run_id=good.pk)
    bad = build.starting_run(build.stream(alice), vps)
    lifecycle.fire(bad.stream_id, Event.FAILED, run_id=bad.pk)
    build.running(build.stream(alice), vps)
    build.vps("other")
    with django_assert_num_queries(2):
        first, other = sorted(candidates(timezone.now()), key=lambda each: each.vps_id)
    assert (first.current_streams, first.success_rate) == (1, 0.5)
    assert (other.current_streams, other.success_rate) == (0, 1.0)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_starts_at_once_never_overfill_a_server():
    owner = build.user(package=build.package(streams=50))
    small, other = build.vps("small", max_streams=3), build.vps("other", max_streams=2, cpu=99)
    ears = [build.Ear(small.pk), build.Ear(other.pk)]
    runs = [build.starting_run(build.stream(owner, f"stream {n}")).pk for n in range(12)]
    outcomes = at_once(12, lambda: starting.put_on_air(runs.pop(), build.no_sleep))
    for ear in ears:
        ear.close()
    assert outcomes == [None] * 12
    assert (slots.held(small.pk), slots.held(other.pk)) == (3, 2)
    assert Stream.objects.filter(status=Status.STARTING).count() == 5
    assert Stream.objects.filter(status=Status.ERROR, failure_reason__contains="No VPS is free").count() == 7
    assert Run.objects.filter(vps=None, slot_released_at=None).count() == 0
    assert connection.vendor == "postgresql"
