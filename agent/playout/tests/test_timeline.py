"""Timestamps of items on one line: cases as data, then properties."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout.flv import AUDIO, VIDEO
from agent.playout.timeline import Timeline

V, A = VIDEO, AUDIO

CASES = {
    "the video ends later": (
        [[(V, 0), (A, 0), (A, 20), (V, 40)], [(V, 0), (A, 0)]],
        [0, 0, 20, 40, 80, 80],
    ),
    "the audio ends later": (
        [[(V, 0), (A, 0), (V, 40), (A, 30), (A, 60), (A, 90)], [(V, 0)]],
        [0, 0, 40, 30, 60, 90, 120],
    ),
    "the item begins above nought": ([[(A, 500), (V, 523)], [(V, 80), (A, 80)]], [0, 23, 56, 56]),
    "both tracks are shifted alike": (
        [[(V, 0), (V, 40)], [(V, 0), (A, 15), (V, 40), (A, 38)]],
        [0, 40, 80, 95, 120, 118],
    ),
    "no audio, then audio": ([[(V, 0), (V, 100)], [(A, 0), (V, 0)]], [0, 100, 200, 200]),
    "a long last frame is as long as the sound, not as the one before": (
        [[(V, 0), (A, 0), (V, 40), (A, 60), (A, 120), (V, 160)], [(V, 0), (A, 57)]],
        [0, 0, 40, 60, 120, 160, 200, 257],
    ),
    "each item has its own frame length": ([[(V, 0), (V, 20)], [(V, 0), (V, 100)], [(V, 0)]], [0, 20, 40, 140, 240]),
    "one frame": ([[(V, 0)], [(V, 0)], [(V, 0)]], [0, 33, 66]),
    "a jump ahead goes on at once": ([[(V, 0), (V, 40), (V, 600_000), (V, 600_040)]], [0, 40, 80, 120]),
    "a jump back goes on at once": ([[(V, 5000), (V, 5040), (V, 0), (V, 40)]], [0, 40, 80, 120]),
    "a frame a little early waits for its track": ([[(V, 0), (V, 40), (V, 20), (V, 80)]], [0, 40, 40, 80]),
    "a slide show keeps its pauses": ([[(V, 0), (V, 9000)]], [0, 9000]),
}


def _placed(timeline: Timeline, items: list[list[tuple[int, int]]], *, known: bool = False) -> list[int]:
    placed = []
    for item in items:
        timeline.begin_item()
        timeline.meet(dict(reversed(item)) if known else {})
        placed += [timeline.commit(kind, stamp) for kind, stamp in item]
    return placed


@pytest.mark.parametrize("start", [0, 2**24 - 60, 2**31 - 60, 2**32 - 60])
@pytest.mark.parametrize("case", CASES)
def test_placing(case: str, start: int) -> None:
    items, expected = CASES[case]
    assert _placed(Timeline(start), items) == [start + each for each in expected]


MET = {
    "sound that begins late follows the sound before": (
        [[(V, 0), (A, 0), (V, 40), (A, 60)], [(V, 0), (A, 57), (V, 40)]],
        [0, 0, 40, 60, 80, 137, 120],
    ),
    "pictures that begin late follow the pictures before": (
        [[(V, 0), (A, 0), (V, 40)], [(A, 0), (V, 50)]],
        [0, 0, 40, 30, 80],
    ),
    "only one of two tracks": ([[(V, 0), (A, 0), (A, 90)], [(V, 0)]], [0, 0, 90, 180]),
    "beginnings that have nothing to do with each other": ([[(V, 0), (A, 0)], [(V, 5000), (A, 0)]], [0, 0, 33, 66]),
    "together": ([[(V, 0), (A, 0), (A, 30)], [(V, 0), (A, 0)]], [0, 0, 30, 60, 60]),
}


@pytest.mark.parametrize("case", MET)
def test_placing_an_item_whose_beginning_is_known(case: str) -> None:
    items, expected = MET[case]
    assert _placed(Timeline(2**32), items, known=True) == [2**32 + each for each in expected]


def test_placing_twice_is_placing_once() -> None:
    timeline = Timeline()
    timeline.commit(V, 1000)
    assert [timeline.place(V, 1040), timeline.place(V, 1040), timeline.commit(V, 1040)] == [40, 40, 40]


TRACKS = st.tuples(st.sampled_from([V, A]), st.integers(0, 2**32 - 1))


@given(st.lists(st.lists(TRACKS, min_size=1, max_size=20), max_size=6))
def test_no_track_ever_goes_back_or_waits_long(items: list[list[tuple[int, int]]]) -> None:
    timeline = Timeline()
    last = {V: 0, A: 0}
    for item in items:
        timeline.begin_item()
        for kind, stamp in item:
            end = timeline.end
            placed = timeline.commit(kind, stamp)
            assert last[kind] <= placed <= end + 11_000
            last[kind] = placed


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=30), st.integers(0, 2**31))
def test_inside_an_item_distances_stay(steps: list[int], origin: int) -> None:
    stamps = [origin]
    for step in steps:
        stamps.append(stamps[-1] + step)
    timeline = Timeline()
    placed = [timeline.commit(V, stamp) for stamp in stamps]
    assert [b - a for a, b in pairwise(placed)] == steps
