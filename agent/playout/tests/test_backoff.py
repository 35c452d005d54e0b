"""How soon a destination is tried again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from agent.playout.backoff import LONGEST_S, retry_delay

KEY_FRAME_S = 2.0
"""So long a destination that is reached waits for a picture it can begin with."""


@given(st.floats(0, 20), st.integers())
def test_after_a_short_outage_it_is_back_within_3_s(outage_s: float, seed: int) -> None:
    assert 0.5 <= retry_delay(outage_s, random.Random(seed)) <= 3 - KEY_FRAME_S


@given(st.floats(0, 1e6), st.integers())
def test_it_is_never_given_up_for_longer_than_half_a_minute(outage_s: float, seed: int) -> None:
    assert retry_delay(outage_s, random.Random(seed)) <= LONGEST_S - KEY_FRAME_S


def test_the_pauses_grow_with_the_outage() -> None:
    pauses = [retry_delay(outage_s, random.Random(1)) for outage_s in (1, 60, 300, 600, 6000)]
    assert pauses == sorted(pauses)
    assert pauses[1] < pauses[2] < pauses[3] == pauses[4]
