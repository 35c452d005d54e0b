"""When a connection counts as silent, by TCP's word and by RTMP's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout.signs import Signs

WINDOW = 2_500_000
STEP = 40_000  # bytes in a tenth of a second


def _acknowledged(windows: int, *, heed: bool = True) -> tuple[Signs, float, int]:
    """A connection on which everything arrives and is acknowledged: (signs, now, bytes)."""
    signs, now, acked = Signs(0.0, heed=heed), 0.0, 0
    while acked < windows * WINDOW:
        now, acked = now + 0.1, acked + STEP
        signs.note(now, 0, acked, acked // WINDOW)
        assert signs.silent_s(now) == signs.unacknowledged_s(now) == 0
    return signs, now, acked


def test_bytes_that_wait_and_do_not_move_are_silence() -> None:
    signs = Signs(0.0)
    signs.note(1.0, 500, 1000, 0)
    signs.note(4.0, 900, 1000, 0)
    assert signs.silent_s(4.0) == 3.0
    signs.note(5.0, 900, 1001, 0)
    assert signs.silent_s(5.0) == 0


def test_nothing_to_send_is_no_silence() -> None:
    signs = Signs(0.0)
    signs.note(9.0, 0, 0, 0)
    assert signs.silent_s(9.0) == 0


def test_a_server_that_never_acknowledges_is_judged_by_tcp_alone() -> None:
    signs, now, acked = Signs(0.0), 0.0, 0
    for _ in range(6000):
        now, acked = now + 0.1, acked + STEP
        signs.note(now, 0, acked, 0)
    assert signs.unacknowledged_s(now) == 0


def test_acknowledgements_that_stop_are_missed_after_three_windows_though_tcp_goes_on() -> None:
    signs, now, acked = _acknowledged(4)
    before, acknowledgements = acked, acked // WINDOW
    while signs.unacknowledged_s(now) == 0:
        now, acked = now + 0.1, acked + STEP
        signs.note(now, 0, acked, acknowledgements)
    assert 3 * WINDOW <= acked - before <= 3.2 * WINDOW
    signs.note(now + 5, 0, acked + STEP, acknowledgements)
    assert signs.unacknowledged_s(now + 5) > 4.8
    signs.note(now + 6, 0, acked + STEP, acknowledgements + 1)
    assert signs.unacknowledged_s(now + 6) == 0, "one is enough to be believed again"


@pytest.mark.parametrize(("windows", "heed"), [(1, True), (4, False)], ids=["one proves no rule", "not heeded"])
def test_acknowledgements_that_stop_are_not_missed(windows: int, heed: bool) -> None:
    signs, now, acked = _acknowledged(windows, heed=heed)
    acknowledgements = acked // WINDOW
    for _ in range(3000):
        now, acked = now + 0.1, acked + STEP
        signs.note(now, 0, acked, acknowledgements)
    assert signs.unacknowledged_s(now) == 0


@given(st.integers(5000, 10_000_000), st.lists(st.integers(0, 400_000), min_size=100, max_size=300))
def test_whoever_acknowledges_once_per_window_is_never_overdue(window: int, steps: list[int]) -> None:
    """Whatever the window and however the rate changes; a window's worth may come late."""
    signs, now, acked = Signs(0.0), 0.0, 0
    for step in steps:
        now, acked = now + 0.1, acked + min(step, window)
        signs.note(now, 0, acked, acked // window)
        assert signs.unacknowledged_s(now) == 0
