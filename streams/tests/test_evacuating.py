"""A VPS is drained, or its trouble harms what is on air: which stream leaves, when, and when the VPS is done."""

from dataclasses import asdict
from datetime import timedelta

import pytest

from fleet.checkups import check_all
from fleet.models import Vps, VpsStatus
from streams import evacuating
from streams.evacuating import DRAIN_PAUSE, HARM_LASTS, HARM_PAUSE, PATIENCE_S, Leaver, pick
from streams.models import Run, Status
from streams.tests import build

CASES = {
    "nothing there": ([], 1e9, None),
    "an item that ends now": ([100.0, 3.0, 50.0], 0.0, 1),
    "none ends soon: it waits": ([100.0, 5.0, None], PATIENCE_S - 1, None),
    "not for ever: then whose ends first": ([100.0, 50.0, None], PATIENCE_S, 1),
    "one that never ends comes last": ([None, 900.0], PATIENCE_S, 1),
    "if there is nothing else": ([None], PATIENCE_S, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    left, waited_s, wanted = CASES[case]
    runs = [Run() for _ in left]
    chosen = pick([Leaver(run, left_s) for run, left_s in zip(runs, left, strict=True)], waited_s)
    assert chosen is (None if wanted is None else runs[wanted])


def playing(owner, vps, now, left_s=600.0, **fields) -> Run:
    """On air, its item ending in so many seconds."""
    stream = build.stream(owner, title=f"ends in {left_s}")
    run = build.running(stream, vps)
    item = stream.items.first()
    report = build.report(run, item_id=item.pk, position_s=1000.0, duration_s=1000.0 + left_s, **fields)
    Run.objects.filter(pk=run.pk).update(report=asdict(report), reported_at=now)
    return run


def beat(*vpses, at):
    Vps.objects.filter(pk__in=[vps.pk for vps in vpses]).update(last_heartbeat_at=at)


def drain(vps, now, moves=True):
    Vps.objects.filter(pk=vps.pk).update(status=VpsStatus.DRAINING, drain_moves=moves, draining_since=now)


def on_its_way(run) -> bool:
    run.refresh_from_db()
    return run.moved_at is not None


def arrives(run, at):
    from streams import lifecycle

    Run.objects.filter(pk=run.pk).update(commanded_at=at)
    run.refresh_from_db()
    from streams import interrupting

    run.stream = lifecycle.Stream.objects.get(pk=run.stream_id)
    assert interrupting.on_air(run, at)


def test_one_after_the_other_each_at_its_item_s_end(alice, vps, other, now):
    late, soon = playing(alice, vps, now, 600.0), playing(alice, vps, now, 3.0)
    drain(vps, now)
    assert evacuating.run(now) == 1
    assert (on_its_way(late), on_its_way(soon)) == (False, True)
    after = now + DRAIN_PAUSE
    beat(vps, other, at=after + timedelta(seconds=PATIENCE_S))
    assert evacuating.run(after + timedelta(seconds=PATIENCE_S)) == 0, "the first one is not on air yet"
    arrives(soon, after)
    assert evacuating.run(after + timedelta(seconds=1)) == 0, "it waits for an item's end"
    assert evacuating.run(after + timedelta(seconds=PATIENCE_S)) == 1
    assert on_its_way(late)


def test_ten_sweeps_at_once_move_one(alice, vps, other, now):
    for _ in range(3):
        playing(alice, vps, now, 3.0)
    drain(vps, now)
    stale = Vps.objects.get(pk=vps.pk)
    assert evacuating.run(now) == 1
    assert not evacuating._relieve(stale, now), "it read the row before"
    assert Run.objects.filter(moved_at__isnull=False).count() == 1


def test_one_that_is_paused_stays(alice, vps, other, now):
    run = playing(alice, vps, now, 3.0, paused=True)
    drain(vps, now)
    assert evacuating.run(now) == 0
    assert not on_its_way(run)


def test_where_nobody_has_room_nothing_moves_and_no_turn_is_lost(alice, vps, other, now):
    run = playing(alice, vps, now, 3.0)
    Vps.objects.filter(pk=other.pk).update(max_streams=0)
    drain(vps, now)
    assert evacuating.run(now) == 0
    Vps.objects.filter(pk=other.pk).update(max_streams=4)
    assert evacuating.run(now) == 1
    assert on_its_way(run)


def test_let_finish_it_moves_nothing_and_ends_when_it_is_empty(alice, vps, other, now):
    run = playing(alice, vps, now, 3.0)
    drain(vps, now, moves=False)
    assert evacuating.run(now) == 0
    assert Vps.objects.get(pk=vps.pk).state is VpsStatus.DRAINING
    Run.objects.filter(pk=run.pk).update(ended_at=now, slot_released_at=now)
    evacuating.run(now)
    row = Vps.objects.get(pk=vps.pk)
    assert (row.state, row.draining_since, row.drain_moves) == (VpsStatus.INACTIVE, None, False)


def test_it_is_not_empty_while_one_has_not_quite_left(alice, vps, other, now):
    run = playing(alice, vps, now, 3.0)
    drain(vps, now)
    evacuating.run(now)
    evacuating.run(now)
    assert Vps.objects.get(pk=vps.pk).state is VpsStatus.DRAINING
    arrives(run, now)
    evacuating.run(now)
    assert Vps.objects.get(pk=vps.pk).state is VpsStatus.INACTIVE


@pytest.mark.parametrize(
    ("trouble", "moves"),
    [
        ({"busy": 97.0}, True),
        ({"memory": 96.0}, True),
        ({"disk": 99.5}, True),
        ({"disk": 96.0}, False),
        ({"clock_offset_s": 3600.0}, False),
        ({"agent_protocol": 99}, False),
        ({}, False),
    ],
)
def test_what_harms_streams_on_air_moves_them_once_it_lasts(alice, vps, other, now, trouble, moves):
    run = playing(alice, vps, now, 3.0)
    Vps.objects.filter(pk=vps.pk).update(**trouble)
    check_all(now)
    assert evacuating.run(now) == 0, "it may be over in a moment"
    later = now + HARM_LASTS
    beat(vps, other, at=later)
    Run.objects.update(reported_at=later)
    check_all(later)
    assert evacuating.run(later) == moves
    assert on_its_way(run) is moves


def test_the_load_has_time_to_show_whether_one_less_is_enough(alice, vps, other, now):
    for _ in range(2):
        playing(alice, vps, now, 3.0)
    Vps.objects.filter(pk=vps.pk).update(busy=97.0, unhealthy="overloaded", harms_since=now - timedelta(hours=1))
    assert evacuating.run(now) == 1
    arrives(Run.objects.get(moved_at__isnull=False), now)
    later = now + HARM_PAUSE - timedelta(seconds=1)
    beat(vps, other, at=later)
    Run.objects.update(reported_at=later)
    assert evacuating.run(later) == 0
    Vps.objects.filter(pk=vps.pk).update(busy=70.0)
    check_all(later)
    beat(vps, other, at=later + timedelta(minutes=5))
    assert evacuating.run(later + timedelta(minutes=5)) == 0, "it is well again"


def test_a_silent_one_is_for_others(alice, vps, other, now):
    run = playing(alice, vps, now, 3.0)
    drain(vps, now)
    beat(vps, at=now - timedelta(seconds=30))
    assert evacuating.run(now) == 0
    assert run.stream.state is Status.STREAMING
