"""What went wrong, and uptime, worked out of histories. A minute is 60; moments are small numbers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import uptime
from streams.incident_kinds import Change, Happened, Output, What
from streams.incidents import GIVEN_UP_S, tell
from streams.models import RunEvent
from streams.spans import Span, merged, minus, total

A, B = Output(1, "YouTube", 0.0, True), Output(2, "Twitch", 0.0, True)
BOTH = (A, B)
START, LIVE, STOP, STOPPED = (
    ("start", "INACTIVE", "STARTING"),
    ("live", "STARTING", "STREAMING"),
    ("stop", "STREAMING", "STOPPING"),
    ("stopped", "STOPPING", "INACTIVE"),
)
LOST, AGAIN, BROKEN = (
    ("timed_out", "STREAMING", "ERROR"),
    ("start", "ERROR", "STARTING"),
    ("failed", "STARTING", "ERROR"),
)
DAY = Span(0.0, 86_400.0)


def change(at, what, message="", run="r1"):
    event, old, new = what
    return Change(at, event, old, new, message, run)


def on_air(*more):
    return [change(0, START), change(10, LIVE), *more]


def happened(at, kind, run="r1", **facts):
    return Happened(at, RunEvent.Kind(kind), facts, run)


def place(at, state=None, output=A, **facts):
    said = {} if state is None else {"state": state}
    return happened(at, "destination", output=output.id, name=output.name, **said, **facts)


def shares(story, within=DAY, outputs=BOTH):
    return [uptime.of_output(story, each, within) for each in outputs]


def test_a_day_without_trouble_is_a_hundred_percent():
    story = tell(on_air(change(3610, STOP), change(3611, STOPPED)), [], BOTH, 9000)
    assert story.incidents == []
    assert story.wanted == [Span(10, 3610)]
    assert [row.share for row in shares(story)] == [1.0, 1.0]


def test_never_started_is_neither_up_nor_down():
    story = tell([], [], BOTH, 9000)
    assert (story.incidents, uptime.of_stream(story, BOTH, DAY).share) == ([], None)


def test_a_renewal_is_no_incident_but_seconds_off_air():
    story = tell(on_air(), [happened(500, "renewed", output=1, name="YouTube", off_s=2.0)], BOTH, 1010)
    assert story.incidents == []
    assert [row.off_s for row in shares(story)] == [2.0, 0]


MOVED = ("moved", "STREAMING", "STARTING")


def test_a_move_is_no_incident_but_seconds_off_air_everywhere():
    story = tell(on_air(change(100, MOVED), change(104, LIVE)), [], BOTH, 1010)
    assert story.incidents == []
    assert [row.off_s for row in shares(story)] == [4, 4]


def test_a_move_that_comes_nowhere_is_one_from_when_it_failed():
    steps = (change(100, MOVED), change(106, ("interrupted", "STARTING", "STARTING"), "full"), change(140, LIVE))
    story = tell(on_air(*steps), [], BOTH, 1010)
    (one,) = story.incidents
    assert (one.what, one.begun_at, one.ended_at, one.cause) == (What.OUTAGE, 106, 140, "full")
    assert [row.off_s for row in shares(story)] == [40, 40]


def test_a_move_that_is_still_on_its_way():
    story = tell(on_air(change(100, MOVED)), [], BOTH, 103)
    assert (story.incidents, [row.off_s for row in shares(story)]) == ([], [3, 3])


def test_a_server_that_was_lost_is_one_incident_until_it_is_on_air_again():
    changes = on_air(
        change(100, LOST, "Nothing was heard of «fra-1» for 20 s."),
        change(130, AGAIN, run="r2"),
        change(140, BROKEN, "No VPS is free.", run="r2"),
        change(170, AGAIN, run="r3"),
        change(200, LIVE, run="r3"),
    )
    story = tell(changes, [], BOTH, 1010)
    (one,) = story.incidents
    assert (one.what, one.begun_at, one.ended_at, one.times) == (What.OUTAGE, 100, 200, 2)
    assert one.off_s == {"YouTube": 100.0, "Twitch": 100.0}
    assert one.cause == "No VPS is free."
    assert [(row.wanted_s, row.off_s, row.share) for row in shares(story)] == [(1000, 100, 0.9)] * 2


def test_a_restart_without_an_error_between_is_an_outage_too():
    changes = on_air(change(100, ("lost", "STREAMING", "STARTING"), "Gone."), change(130, LIVE))
    (one,) = tell(changes, [], BOTH, 1000).incidents
    assert (one.what, one.begun_at, one.ended_at, one.cause) == (What.OUTAGE, 100, 130, "Gone.")


def test_a_server_that_fell_silent_was_off_air_since_it_was_heard_of():
    silent = Change(100, "interrupted", "STREAMING", "STARTING", "Nothing was heard.", "r1", heard_at=79.0)
    (one,) = tell(on_air(silent, change(103, LIVE)), [], BOTH, 1000).incidents
    assert (one.begun_at, one.ended_at, one.off_s["Twitch"]) == (79, 103, 24.0)


def test_silence_does_not_reach_back_before_it_was_on_air():
    silent = Change(30, "interrupted", "STREAMING", "STARTING", "Nothing was heard.", "r1", heard_at=4.0)
    (one,) = tell(on_air(silent, change(33, LIVE)), [], BOTH, 1000).incidents
    assert one.begun_at == 10


def test_a_start_that_failed_is_wanted_from_then_on():
    story = tell([change(0, START), change(30, BROKEN, "No VPS is free.")], [], BOTH, 90)
    (one,) = story.incidents
    assert (one.what, one.begun_at, one.ended_at, one.off_s["Twitch"]) == (What.START, 30, None, 60.0)
    assert shares(story)[0].share == 0


def test_what_was_stopped_while_it_was_down_was_down_until_then():
    changes = on_air(change(110, LOST), change(210, ("stop", "ERROR", "STOPPING")), change(211, STOPPED))
    story = tell(changes, [], BOTH, 9000)
    assert [(one.begun_at, one.ended_at) for one in story.incidents] == [(110, 210)]
    assert [(row.wanted_s, row.off_s) for row in shares(story)] == [(200, 100)] * 2


@pytest.mark.parametrize("later", [[], [change(50 * 86_400, AGAIN), change(50 * 86_400 + 9, LIVE)]])
def test_after_a_day_nobody_waits_for_what_failed(later):
    story = tell(on_air(change(110, LOST), *later), [], (A,), 60 * 86_400)
    first = story.incidents[-1]
    assert (first.begun_at, first.ended_at) == (110, 110 + GIVEN_UP_S)
    whole = uptime.of_output(story, A, Span(0, 40 * 86_400))
    assert (whole.wanted_s, whole.off_s) == (100 + GIVEN_UP_S, GIVEN_UP_S)


def test_a_destination_away_and_back():
    events = [
        place(100, "reconnecting", reason="connection reset"),
        place(105, "refused", reason="Wrong key."),
        place(130, "live", off_s=32.0),
    ]
    story = tell(on_air(), events, BOTH, 1010)
    (one,) = story.incidents
    assert (one.what, one.subject, one.cause) == (What.DESTINATION, "YouTube", "Wrong key.")
    assert (one.begun_at, one.ended_at, one.off_s) == (98, 130, {"YouTube": 32.0})
    assert [row.off_s for row in shares(story)] == [32.0, 0.0]


def test_a_destination_still_away_goes_on_until_now_or_the_end_of_its_run():
    events = [place(100, "failed", reason="no such host")]
    (open_one,) = tell(on_air(), events, BOTH, 400).incidents
    assert (open_one.ended_at, open_one.off_s) == (None, {"YouTube": 300.0})
    stopped = on_air(change(200, STOP), change(201, STOPPED))
    (closed,) = tell(stopped, events, BOTH, 400).incidents
    assert (closed.ended_at, closed.off_s) == (200, {"YouTube": 100.0})


def test_a_flapping_destination_is_one_incident_with_its_sum():
    events = [place(100, "reconnecting", reason="reset"), place(160, times=7, off_s=21.5)]
    story = tell(on_air(), events, BOTH, 1010)
    (one,) = story.incidents
    assert (one.begun_at, one.ended_at, one.times, one.off_s) == (100, 160, 7, {"YouTube": 21.5})
    assert one.cause == "reset"


def test_switched_off_is_not_wanted_and_not_off_air():
    events = [place(100, "disabled"), place(600, "live"), place(700, "disabled")]
    story = tell(on_air(), events, BOTH, 1010)
    assert story.incidents == []
    assert [(row.wanted_s, row.off_s) for row in shares(story)] == [(190, 0), (1000, 0)]


def test_switching_off_ends_what_was_wrong_with_it():
    story = tell(on_air(), [place(100, "refused", reason="no"), place(160, "disabled")], BOTH, 1010)
    assert [(one.begun_at, one.ended_at, one.off_s) for one in story.incidents] == [(100, 160, {"YouTube": 60.0})]
    assert (shares(story)[0].wanted_s, shares(story)[0].off_s) == (150, 60)


def test_one_that_is_off_and_never_was_switched_is_not_wanted():
    off = Output(3, "Kick", 0.0, False)
    story = tell(on_air(), [], (A, off), 1010)
    assert [row.share for row in shares(story, outputs=(A, off))] == [1.0, None]


def test_one_that_joined_later_is_wanted_from_then():
    late = Output(3, "Kick", 510.0, True)
    assert shares(tell(on_air(), [], (late,), 1010), outputs=(late,))[0].wanted_s == 500


def test_the_players_end_is_everybodys_and_counts_once():
    """The destination was lost with the player and told beside it: the same seconds."""
    events = [
        place(101, "reconnecting", reason="player ended"),
        happened(103, "restarted", times=1, off_s=3.0),
        place(120, "live", off_s=20.0),
    ]
    story = tell(on_air(), events, BOTH, 1010)
    assert {one.what for one in story.incidents} == {What.PLAYER, What.DESTINATION}
    assert [row.off_s for row in shares(story)] == [20.0, 3.0]


def test_what_is_seen_but_not_off_air():
    events = [
        happened(50, "skipped", item=1, name="broken.mp4", reason="no video"),
        happened(100, "slate", reason="nothing to play", seconds=12.0, paused=False),
        happened(110, "slate", reason="paused", seconds=5.0, paused=True),
        happened(120, "input", item=2, name="Studio", state="away", reason="silent"),
        happened(150, "input", item=2, name="Studio", state="on", off_s=31.0),
        happened(160, "steered", order="next"),
    ]
    story = tell(on_air(), events, BOTH, 1010)
    assert [(one.what, one.begun_at, one.ended_at) for one in story.incidents] == [
        (What.INPUT, 119, 150),
        (What.SLATE, 88, 100),
        (What.SKIPPED, 50, 50),
    ]
    assert [row.share for row in shares(story)] == [1.0, 1.0]
    assert story.incidents[0].cause == "silent"


def test_an_hour_counts_where_it_lies():
    midnight = 86_400
    changes = on_air(change(midnight - 50, LOST), change(midnight + 50, AGAIN), change(midnight + 150, LIVE))
    story = tell(changes, [], (A,), 9e5)
    first, second = Span(0, 86_400), Span(86_400, 2 * 86_400)
    assert [uptime.of_stream(story, (A,), day).off_s for day in (first, second)] == [50, 150]
    assert uptime.of_stream(story, (A,), first).wanted_s == 86_400 - 10


def test_one_of_two_down_counts_half():
    story = tell(on_air(), [place(510, "failed")], BOTH, 1010)
    assert uptime.of_stream(story, BOTH, DAY).share == 0.75


# ------------------------------------------------------------------------------------------------ always

moments = st.lists(st.integers(0, 10_000), min_size=2, max_size=12).map(sorted)
spans = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 30)).map(lambda p: Span(p[0], p[0] + p[1])))


@given(spans, spans)
def test_spans_are_sets_of_seconds(some, others):
    def seconds(found):
        return {second for span in found for second in range(int(span.begin), int(span.end))}

    whole = merged(some)
    assert seconds(whole) == seconds(some)
    assert total(whole) == len(seconds(some))
    assert all(before.end < after.begin for before, after in pairwise(whole))
    assert seconds(minus(whole, others)) == seconds(some) - seconds(others)


STATUSES = ["INACTIVE", "STARTING", "STREAMING", "STOPPING", "ERROR", "SOMETHING_NEW"]
KINDS = st.sampled_from(["destination", "restarted", "slate", "input", "skipped", "steered"])
FACTS = st.fixed_dictionaries(
    {"output": st.sampled_from([1, 2, 7]), "item": st.just(1), "name": st.just("x")},
    optional={
        "state": st.sampled_from(["live", "reconnecting", "refused", "disabled", "away", "on"]),
        "off_s": st.floats(0, 500),
        "times": st.integers(1, 9),
        "seconds": st.floats(0, 500),
    },
)


@given(moments, st.lists(st.sampled_from(STATUSES), min_size=12, max_size=12), st.lists(st.tuples(KINDS, FACTS)))
def test_whatever_the_history_nothing_is_off_air_longer_than_wanted(at, statuses, told):
    changes = [Change(moment, "x", statuses[n - 1], statuses[n], "", "r1") for n, moment in enumerate(at)]
    step = 10_000 / (len(told) + 1)
    events = [Happened(step * n, kind, facts, "r1") for n, (kind, facts) in enumerate(told)]
    story = tell(changes, events, BOTH, 10_001)
    for each in BOTH:
        found = uptime.of_output(story, each, DAY)
        assert 0 <= found.off_s <= found.wanted_s + 0.1
    assert all(one.ended_at is None or one.ended_at >= one.begun_at for one in story.incidents)
    begins = [one.begun_at for one in story.incidents]
    assert begins == sorted(begins, reverse=True)
