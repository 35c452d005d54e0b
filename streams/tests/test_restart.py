"""The policy alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.restart import JITTER, NEED_NO_PAUSE, PAUSES_S, STABLE_S, Again, Cause, GiveUp, Past, after


def past(tries=0, *, most=30, was_on_air=True, live_s=None):
    return Past(tries=tries, most=most, was_on_air=was_on_air, live_s=live_s)


CASES = {
    "the first try comes after 30 s": (Cause.GAVE_UP, past(0), Again(1, 30.0)),
    "the second after 60": (Cause.GAVE_UP, past(1), Again(2, 60.0)),
    "the third after 120": (Cause.STUCK, past(2), Again(3, 120.0)),
    "and so on": (Cause.NOT_PLACED, past(17), Again(18, 120.0)),
    "until they are spent": (Cause.GAVE_UP, past(30), GiveUp(30)),
    "as many as its owner wants": (Cause.GAVE_UP, past(3, most=3), GiveUp(3)),
    "none at all": (Cause.LOST, past(0, most=0), GiveUp(0)),
    "a server that is gone is not waited for": (Cause.LOST, past(5), Again(6, 0.0)),
    "nor is one that does not listen": (Cause.DEAF, past(1), Again(2, 0.0)),
    "but it counts": (Cause.LOST, past(30), GiveUp(30)),
    "what only its owner can put right is not tried": (Cause.HOPELESS, past(0), GiveUp(0)),
    "not even later": (Cause.HOPELESS, past(4), GiveUp(0)),
    "a first start that finds no room is told": (Cause.NOT_PLACED, past(0, was_on_air=False), GiveUp(0)),
    "and one that gets nowhere": (Cause.STUCK, past(0, was_on_air=False), GiveUp(0)),
    "a first start on a server that dies goes elsewhere": (Cause.LOST, past(0, was_on_air=False), Again(1, 0.0)),
    "a first start its agent gave up is tried": (Cause.GAVE_UP, past(0, was_on_air=False), Again(1, 30.0)),
    "from then on it is no first start": (Cause.NOT_PLACED, past(1, was_on_air=False), Again(2, 60.0)),
    "long on air: it begins anew": (Cause.GAVE_UP, past(30, live_s=STABLE_S), Again(1, 30.0)),
    "not long enough": (Cause.GAVE_UP, past(30, live_s=STABLE_S - 1), GiveUp(30)),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case):
    cause, record, verdict = CASES[case]
    assert after(cause, record) == verdict


@given(st.sampled_from(Cause), st.integers(0, 50), st.integers(0, 50), st.booleans(), st.floats(0, 1))
def test_it_always_ends_and_never_hurries(cause, tries, most, was_on_air, jitter):
    record, seen = past(tries, most=most, was_on_air=was_on_air), 0
    while isinstance(verdict := after(cause, record, jitter), Again):
        assert 0 <= verdict.after_s <= PAUSES_S[-1] * (1 + JITTER)
        assert verdict.after_s >= PAUSES_S[0] or cause in NEED_NO_PAUSE
        record, seen = past(verdict.tries, most=most, was_on_air=was_on_air), seen + 1
        assert seen <= most
