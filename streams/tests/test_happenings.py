import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import DestinationState, InputState, Renewal, RunReport, SkippedItem
from streams import happenings, telling

REPORT = RunReport(stream_id=1, run_id="r", epoch=1, phase="on_air")
START = 1_700_000_000.0


class Names:
    def output(self, output_id):
        return {1: "YouTube", 2: "Facebook"}.get(output_id, f"place {output_id}")

    def item(self, item_id):
        return {7: "b.mp4", 8: "Camera"}.get(item_id, f"clip {item_id}")


def place(state, since=0.0, reason=None, number=1):
    return DestinationState(id=number, state=state, since=START + since, reason=reason)


def renewed(state, count, since=0.0, off_s=0.3, asked=False):
    renewal = Renewal(count=count, at=START + since, off_s=off_s, asked=asked)
    return replace(place(state, since), renewal=renewal)


def report(*places, **fields):
    return replace(REPORT, destinations=places, **fields)


class Telling:
    """Reports one after the other, as the listener hands them on: what was told, in words."""

    def __init__(self):
        self.memory, self.rows = {}, []

    def at(self, seconds, given, skew=0.0):
        told, left = happenings.tell(self.memory, given, START + seconds, skew, Names())
        self.memory = json.loads(json.dumps(left))
        self.rows += told
        return [telling.tell(row.kind, row.facts).words for row in told]

    def off_air(self):
        return happenings.off_air({"memory": self.memory})


def words_of(*steps):
    story = Telling()
    return [words for seconds, given in steps for words in story.at(seconds, given)]


LIVE = report(place("live"))
CASES = {
    "nothing changes": ([(0, LIVE), (5, LIVE), (10, LIVE)], []),
    "the first word of a run is no news": ([(0, LIVE)], []),
    "connected": ([(0, report(place("connecting"))), (2, report(place("live", 2)))], ["YouTube: on air"]),
    "lost and back": (
        [(0, LIVE), (10, report(place("reconnecting", 10, "connection reset"))), (33, report(place("live", 33)))],
        ["YouTube: off air, connecting again: connection reset", "YouTube: back on air after 23 s off air"],
    ),
    "tries again and again while it is away": (
        [
            (0, LIVE),
            *[
                (n, report(place(state, n)))
                for n, state in [(1, "reconnecting"), (2, "connecting"), (3, "reconnecting")]
            ],
            (4, report(place("live", 4))),
        ],
        ["YouTube: off air, connecting again", "YouTube: back on air after 3 s off air"],
    ),
    "refused, and refused the same way again": (
        [(n, report(place(state, n, "Wrong key"))) for n, state in enumerate(["connecting", "refused"] * 3)],
        ["YouTube: refused by the server: Wrong key"],
    ),
    "refused for another reason": (
        [(0, report(place("refused", 0, "Wrong key"))), (9, report(place("refused", 9, "Banned")))],
        ["YouTube: refused by the server: Wrong key", "YouTube: refused by the server: Banned"],
    ),
    "never reached, then it is": (
        [
            (0, report(place("connecting"))),
            (2, report(place("reconnecting", 2, "connection refused"))),
            (5, report(place("connecting", 5))),
            (9, report(place("reconnecting", 9, "connection refused"))),
            (47, report(place("live", 47))),
        ],
        ["YouTube: off air, connecting again: connection refused", "YouTube: on air after 45 s of trying"],
    ),
    "failed": (
        [(0, report(place("failed", 0, "no such host")))],
        ["YouTube: cannot be reached as it is set up: no such host"],
    ),
    "switched off and on": (
        [(0, LIVE), (5, report(place("disabled", 5))), (9, report(place("live", 9)))],
        ["YouTube: switched off", "YouTube: on air"],
    ),
    "a damaged file": (
        [(0, LIVE), *[(5, report(place("live"), skipped=(SkippedItem(item_id=7, reason="the file is damaged"),)))] * 2],
        ["«b.mp4» was skipped: the file is damaged"],
    ),
    "the slate": (
        [(0, LIVE), (5, report(place("live"), slate="the file is still being downloaded")), (17, LIVE)],
        ["The slate was on air for 12 s: the file is still being downloaded"],
    ),
    "a pause": (
        [(0, LIVE), (5, report(place("live"), slate="paused", paused=True)), (45, LIVE)],
        ["The slate was on air for 40 s: paused"],
    ),
    "the slate until the end": (
        [(0, report(place("live"), slate="the list is empty")), (9, report(place("live"), phase="stopping"))],
        ["The slate was on air for 9 s: the list is empty"],
    ),
    "the player died": (
        [
            (0, report(place("live"))),
            (10, report(place("connecting", -500), phase="backing_off")),
            (11, report(place("connecting", -500), restarts=1)),
            (12, report(place("live", 12), restarts=1)),
        ],
        ["The player ended by itself and was started again (1 s off air)"],
    ),
    "renewed as planned": (
        [
            (0, report(renewed("live", 0))),
            (9, report(renewed("renewing", 0, 9))),
            (9.5, report(renewed("live", 1, 9.3))),
        ],
        ["YouTube: connected anew as planned (0.3 s off air)"],
    ),
    "renewed between two reports, because somebody wanted it": (
        [(0, report(renewed("live", 3))), (5, report(renewed("live", 4, 3, asked=True)))],
        ["YouTube: connected anew as asked (0.3 s off air)"],
    ),
    "the server did not have it back at once": (
        [
            (0, report(renewed("live", 0))),
            (9, report(renewed("renewing", 0, 9))),
            (10, report(replace(renewed("reconnecting", 0, 10), reason="connection refused"))),
            (14, report(renewed("live", 1, 14, off_s=5.0))),
        ],
        [
            "YouTube: off air, connecting again: connection refused",
            "YouTube: back on air after 5 s off air",
        ],
    ),
    "on another server it counts from 0 again": (
        [
            (0, report(renewed("live", 7))),
            (5, report(renewed("live", 0), epoch=2)),
            (9, report(renewed("live", 1, 8), epoch=2)),
        ],
        ["YouTube: connected anew as planned (0.3 s off air)"],
    ),
    "the player was killed and back between two reports": (
        [(0, LIVE), (5, report(place("live", 4), restarts=1, restart_reason="it was killed"))],
        ["The player ended by itself and was started again: it was killed"],
    ),
    "a stop is not told as a loss": (
        [(0, LIVE), (5, report(place("connecting", 5), phase="stopping"))],
        [],
    ),
    "a live input goes and comes": (
        [
            (0, report(input=InputState(item_id=8, state="on", since=START))),
            (10, report(input=InputState(item_id=8, state="away", since=START + 10, reason="no data"))),
            (30, report(input=InputState(item_id=8, state="returning", since=START + 30))),
            (45, report(input=InputState(item_id=8, state="on", since=START + 45))),
        ],
        [
            "Camera: the live input went away, the playlist or the slate plays meanwhile: no data",
            "Camera: back after 35 s",
        ],
    ),
}


@pytest.mark.parametrize(("steps", "wanted"), CASES.values(), ids=CASES)
def test_what_happened_in_words(steps, wanted):
    assert words_of(*steps) == wanted


def test_seconds_off_air_are_summed_and_run_on_while_it_is_away():
    story = Telling()
    for seconds, state in [(0, "live"), (10, "reconnecting"), (15, "live"), (20, "reconnecting"), (27, "reconnecting")]:
        story.at(seconds, report(place(state, seconds)))
    assert story.off_air() == {"1": 12.0}


def test_a_renewal_counts_for_as_long_as_it_took():
    story = Telling()
    story.at(0, report(renewed("live", 0)))
    story.at(9, report(renewed("renewing", 0, 9)))
    story.at(14, report(renewed("live", 1, 9.4, off_s=0.4)))
    assert story.off_air() == {"1": 0.4}


def test_an_agents_wrong_clock_counts_nothing_wrong():
    story, ahead = Telling(), 3600.0
    for seconds, state in [(0, "live"), (10, "reconnecting"), (33, "live")]:
        story.at(seconds, report(place(state, seconds + ahead)), skew=-ahead)
    assert story.off_air() == {"1": 23.0}


def test_time_connecting_before_the_first_byte_is_not_off_air():
    story = Telling()
    story.at(0, report(place("connecting", 0)))
    story.at(60, report(place("live", 60)))
    assert story.off_air() == {"1": 0.0}


def test_a_flapping_destination_is_summed_up_and_the_others_are_told():
    story, told = Telling(), []
    for second in range(1200):
        flap = place("live" if second % 2 else "reconnecting", second)
        other = place("reconnecting" if second == 500 else "live", second, number=2)
        told += story.at(second, report(flap, other))
    assert len([line for line in told if line.startswith("YouTube")]) < 12
    assert [line for line in told if line.startswith("Facebook")] == [
        "Facebook: off air, connecting again",
        "Facebook: back on air after 1 s off air",
    ]
    sums = [row.facts["times"] for row in story.rows if "times" in row.facts]
    singly = [row for row in story.rows if row.facts.get("off_s") and "times" not in row.facts]
    assert sum(sums) + len([row for row in singly if row.facts["output"] == 1]) == pytest.approx(599, abs=300)
    assert story.off_air()["1"] == pytest.approx(599, abs=2)


def test_a_playlist_of_damaged_files_is_a_few_lines():
    story = Telling()
    bad = tuple(SkippedItem(item_id=100 + n, reason="damaged") for n in range(500))
    first = story.at(0, report(skipped=bad))
    assert len(first) == happenings.SINGLY
    assert story.at(70, report(skipped=bad)) == ["494 more items were skipped"]


def test_what_is_summed_up_is_told_when_it_stops():
    story = Telling()
    for second in range(21):
        story.at(second, report(place("reconnecting" if second % 2 else "live", second)))
    [last] = story.at(21, report(place("live", 20), phase="stopping"))
    assert last.startswith("YouTube: lost 7 more times (7 s off air")


def test_a_key_in_a_reason_is_masked():
    told = words_of((0, report(place("refused", 0, "rtmp://host/app/THEKEY said no"))))
    assert "THEKEY" not in str(told)


def test_rows_of_another_version_are_still_a_line():
    assert telling.tell("destination", {}).words == "a destination changed its state"
    assert telling.tell("slate", {"seconds": "x"}).words == "the slate came or went"
    assert telling.tell("unheard-of", {}).words == "unheard-of"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (0.4, "0.4 s"), (2, "2 s"), (23.4, "23 s"), (245, "4 min 5 s"), (60, "1 min"), (7380, "2 h 3 min")],
)
def test_how_long_in_words(seconds, words):
    assert telling.lasting(seconds) == words


STATES = st.sampled_from(["connecting", "live", "reconnecting", "refused", "failed", "disabled", "teleporting"])
MOMENTS = st.floats(min_value=-1e12, max_value=1e12)
REPORTS = st.builds(
    report,
    st.builds(place, STATES, MOMENTS, st.none() | st.text(max_size=5)),
    st.builds(place, STATES, MOMENTS, number=st.just(2)),
    phase=st.sampled_from(["starting", "on_air", "backing_off", "stopping"]),
    restarts=st.integers(0, 3),
    slate=st.none() | st.sampled_from(["a", "b"]),
    paused=st.booleans(),
    skipped=st.lists(st.builds(SkippedItem, item_id=st.integers(1, 3), reason=st.just("bad")), max_size=3).map(tuple),
    input=st.none()
    | st.builds(
        InputState, item_id=st.integers(7, 8), state=st.sampled_from(["on", "away", "returning"]), since=MOMENTS
    ),
)


@given(st.lists(st.tuples(st.floats(-5, 120), REPORTS), max_size=40))
def test_whatever_is_reported_it_adds_up_and_stays_bounded(steps):
    story, clock, minutes = Telling(), 0.0, {}
    for gap, given_report in steps:
        clock += gap
        before = len(story.rows)
        words = story.at(clock, given_report)
        assert all(words)
        minute = int((START + clock) // 60)
        minutes[minute] = minutes.get(minute, 0) + len(story.rows) - before
    # Singly told ones, and one sum of each of the six subjects.
    assert all(lines <= 2 * (happenings.SINGLY_IN_ALL + 6) for lines in minutes.values())
    assert all(0 <= seconds <= 120 * 40 for seconds in story.off_air().values())
