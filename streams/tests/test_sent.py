"""Bytes over playouts that each count from nothing."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as some

from agent.protocol import DestinationState, RunReport
from streams import sent

EMPTY = RunReport(stream_id=1, run_id="r", epoch=1, phase="on_air")


def report(**by_place: int) -> RunReport:
    places = [DestinationState(id=int(name[1:]), state="live", since=0.0, bytes_sent=n) for name, n in by_place.items()]
    return replace(EMPTY, destinations=tuple(places))


def told(*reports: RunReport) -> int:
    counted = None
    for each in reports:
        counted = sent.count(counted, each)
    return sent.total(counted, None)


def test_one_playout_counts_as_it_says():
    assert told(report(d1=10, d2=20), report(d1=30, d2=20)) == 50


def test_what_the_one_before_had_sent_is_kept():
    assert told(report(d1=100, d2=100), report(d1=5, d2=0), report(d1=6, d2=7)) == 213


def test_a_destination_that_left_has_sent_what_it_had():
    assert told(report(d1=100, d2=40), report(d1=150)) == 190


def test_a_report_without_a_memory_is_taken_at_its_word():
    assert sent.total(None, [{"id": 1, "bytes_sent": 3}, {"id": 2}]) == 3
    assert sent.total({}, None) == 0


@given(some.lists(some.lists(some.integers(0, 10**12), min_size=1), min_size=1))
def test_of_each_playout_its_highest_counts(playouts):
    """Each playout's count only grows; the next one begins below."""
    growing = [sorted(each) for each in playouts]
    reports = [report(d1=n) for counts in growing for n in [0, *counts]]
    assert told(*reports) == sum(max(counts) for counts in growing)
