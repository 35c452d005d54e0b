import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import RunReport
from streams.reconcile import GRACE_S, Start, Stop, Update, Wanted, plan

A, B = uuid.UUID(int=1), uuid.UUID(int=2)
NOW = 1000.0


def want(run=A, *, epoch=1, fingerprint="f", commanded_at=NOW - 60.0, stream=1):
    return Wanted(stream, run, epoch, fingerprint, commanded_at)


def hold(run=A, *, epoch=1, fingerprint="f", phase="on_air", stream=1):
    return RunReport(stream_id=stream, run_id=str(run), epoch=epoch, phase=phase, fingerprint=fingerprint)


CASES = {
    "all is well": ([want()], [hold()], []),
    "nothing here, nothing wanted": ([], [], []),
    "held and not wanted": ([], [hold()], [Stop(1, str(A), 1)]),
    "held under an id that is none of ours": ([], [hold("weird")], [Stop(1, "weird", 1)]),
    "not wanted, but stopping already": ([], [hold(phase="stopping")], []),
    "wanted and not held": ([want()], [], [Start(A)]),
    "wanted, commanded just now": ([want(commanded_at=NOW - 1)], [], []),
    "wanted, commanded a beat ago": ([want(commanded_at=NOW - GRACE_S)], [], []),
    "wanted, nobody has commanded it yet": ([want(commanded_at=None)], [], []),
    "another playlist": ([want(fingerprint="new")], [hold()], [Update(A)]),
    "another playlist, but stopping": ([want(fingerprint="new")], [hold(phase="stopping")], []),
    "an agent that says no fingerprint": ([want()], [hold(fingerprint="")], []),
    "an old epoch": ([want(epoch=2)], [hold(epoch=1)], [Stop(1, str(A), 1)]),
    "the last run of the stream still there": ([want(B)], [hold(A)], [Stop(1, str(A), 1), Start(B)]),
    "backing off is held": ([want()], [hold(phase="backing_off")], []),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    wanted, held, orders = CASES[case]
    assert plan(wanted, held, NOW) == orders


wants = st.builds(
    want,
    run=st.uuids(),
    epoch=st.integers(1, 3),
    fingerprint=st.sampled_from(["", "f", "g"]),
    commanded_at=st.one_of(st.none(), st.floats(NOW - 100, NOW)),
)
phases = st.sampled_from(["fetching", "on_air", "stopping", "backing_off"])


@given(st.lists(wants, unique_by=lambda each: each.run_id, max_size=6), st.data())
def test_whatever_is_held_the_orders_lead_to_what_is_wanted(wanted, data):
    runs = st.sampled_from([each.run_id for each in wanted]) if wanted else st.nothing()
    some = st.builds(
        hold,
        run=st.one_of(runs, st.uuids()),
        epoch=st.integers(1, 3),
        fingerprint=st.sampled_from(["", "f", "g"]),
        phase=phases,
    )
    held = data.draw(st.lists(some, unique_by=lambda each: each.run_id, max_size=6))
    later, beat = NOW, {each.run_id: each for each in held}
    for _ in range(4):
        later += 10
        for order in plan(wanted, beat.values(), later):
            _obey(order, beat, wanted)
        beat = {key: each for key, each in beat.items() if each.phase != "stopping"}
    commanded = {str(each.run_id): each for each in wanted if each.commanded_at is not None}
    assert set(commanded) <= set(beat) <= {str(each.run_id) for each in wanted}
    assert plan(wanted, beat.values(), later) == []


def _obey(order, beat, wanted):
    """An agent that does as it is told."""
    if isinstance(order, Stop):
        del beat[order.run_id]
        return
    ordered = next(each for each in wanted if each.run_id == order.run_id)
    beat[str(order.run_id)] = hold(order.run_id, epoch=ordered.epoch, fingerprint=ordered.fingerprint)
