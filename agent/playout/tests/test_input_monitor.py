"""When a live input is on air: histories as data, time as an argument."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout.input_monitor import STABLE_S, STALLED_S, InputMonitor

FRAME_S = 0.04
TICK_S = 0.2
History = Iterator[tuple[float, int | None]]
"""(when, the time of the tag that comes then in ms; None: FFmpeg starts anew)."""


def steady(start: float, seconds: float, stamp: int = 0) -> History:
    yield start, None
    for frame in range(int(seconds / FRAME_S)):
        yield start + frame * FRAME_S, stamp + frame * 40


def in_pieces(start: float, seconds: float, piece_s: int, ahead: int = 3) -> History:
    """As HLS comes: `ahead` pieces at once, then one when its time has come."""
    yield start, None
    for piece in range(int(seconds / piece_s)):
        when = start + max(0, piece - ahead + 1) * piece_s
        for frame in range(int(piece_s / FRAME_S)):
            yield when, piece * piece_s * 1000 + frame * 40


def stuck(start: float, seconds: float, stamp: int) -> History:
    """Tags come, their time does not move on."""
    for frame in range(int(seconds / FRAME_S)):
        yield start + frame * FRAME_S, stamp + frame


class Watched:
    """A monitor that lived through a history; `seen` is when its state became which."""

    def __init__(self, *, settle_s: float = 0.0) -> None:
        self.monitor = InputMonitor(0.0, settle_s)
        self.seen: list[tuple[float, str]] = []
        self.faults: list[tuple[float, str]] = []
        self._ticked = 0.0

    def live(self, history: History, until: float | None = None) -> "Watched":
        now = self._ticked
        for now, stamp in history:
            self._tick_to(now)
            if stamp is None:
                self.monitor.begin(now)
            else:
                self.monitor.media(now, stamp)
            self._look(now)
        self._tick_to(now if until is None else until)
        return self

    def down(self, now: float, reason: str = "the live input has ended") -> "Watched":
        self._tick_to(now)
        self.monitor.down(now, reason)
        self._look(now)
        return self

    def _tick_to(self, now: float) -> None:
        while self._ticked + TICK_S <= now:
            self._ticked += TICK_S
            if fault := self.monitor.tick(self._ticked):
                self.faults.append((self._ticked, fault))
            self._look(self._ticked)

    def _look(self, now: float) -> None:
        if not self.seen or self.seen[-1][1] != self.monitor.state:
            self.seen.append((round(now, 2), self.monitor.state))

    def times(self, state: str) -> list[float]:
        return [when for when, what in self.seen if what == state]


def been_away() -> Watched:
    """It was on, and is away since second 20."""
    return Watched().live(steady(1, 19)).down(20)


def test_the_first_time_it_is_on_at_once() -> None:
    assert Watched().live(steady(2, 1)).times("on") == [pytest.approx(2, abs=2 * TICK_S)]


def test_what_must_settle_is_on_when_it_has() -> None:
    assert Watched(settle_s=2).live(in_pieces(1, 20, 4)).times("on") == [pytest.approx(3, abs=2 * TICK_S)]


def test_the_rest_of_a_list_that_ended_is_never_on() -> None:
    watched = Watched(settle_s=2).live(in_pieces(1, 12, 4, ahead=3), until=1.5).down(1.6)
    assert not watched.times("on")


@pytest.mark.parametrize("piece_s", [2, 6, 10])
def test_what_comes_in_pieces_is_not_thought_away(piece_s: int) -> None:
    watched = Watched().live(in_pieces(1, 120, piece_s))
    assert (watched.faults, watched.monitor.state) == ([], "on")


def test_silence_is_told_after_three_seconds() -> None:
    watched = Watched().live(steady(0, 10), until=14)
    assert watched.faults[0] == (
        pytest.approx(10 + STALLED_S, abs=2 * TICK_S),
        "the live input has sent nothing for 3 s",
    )


def test_tags_whose_time_stands_still_are_no_life() -> None:
    watched = Watched().live(steady(0, 10)).live(stuck(10, 8, 10_000))
    when, why = watched.faults[0]
    assert why == "the live input sends, and does not move on"
    assert 12 < when < 17


def test_pieces_that_stop_are_told_when_nothing_is_left_to_play() -> None:
    watched = Watched().live(in_pieces(0, 60, 6), until=70)
    last_comes = (60 / 6 - 3) * 6
    assert watched.faults[0][0] == pytest.approx(60.5, abs=2 * TICK_S)
    assert last_comes < 60 - STALLED_S


def test_it_comes_back_when_it_has_been_well_for_ten_seconds() -> None:
    watched = been_away().live(steady(25, 15, stamp=7_000_000))
    assert watched.times("returning")[-1] == pytest.approx(25)
    assert watched.times("on")[-1] == pytest.approx(25 + STABLE_S, abs=2 * TICK_S)
    assert watched.monitor.reason is None


def test_pieces_come_back_too() -> None:
    watched = been_away().live(in_pieces(25, 60, 6))
    assert watched.times("on")[-1] == pytest.approx(25 + STABLE_S, abs=2 * TICK_S)


@pytest.mark.parametrize(
    "hole",
    [
        pytest.param([*steady(25, 8), *((33.0 + 1.8 + n * FRAME_S, 8000 + n * 40) for n in range(200))], id="a pause"),
        pytest.param([*steady(25, 8), *((33.0 + n * FRAME_S, 90_000 + n * 40) for n in range(250))], id="a jump"),
        pytest.param([*steady(25, 8), *((33.0 + n * FRAME_S, n * 40) for n in range(250))], id="a jump back"),
    ],
)
def test_a_hole_begins_the_ten_seconds_anew(hole: list[tuple[float, int | None]]) -> None:
    watched = been_away()
    assert watched.live(iter(hole)).monitor.state == "returning"
    last_when, last_stamp = hole[-1]
    watched.live((last_when + n * FRAME_S, (last_stamp or 0) + n * 40) for n in range(1, 250))
    assert watched.monitor.state == "on"


def test_an_input_that_flaps_does_not_flip_the_program() -> None:
    watched = been_away()
    for turn in range(30):
        watched.live(steady(25 + turn * 8, 7)).down(25 + turn * 8 + 7.2)
    assert len(watched.times("on")) == 1


def test_a_recording_is_told() -> None:
    watched = Watched().live((1 + n * 0.001, n * 40) for n in range(3000))
    watched.live(iter([]), until=5)
    assert watched.faults[0][1] == "the address is of a recording, not of something live"


def test_nothing_at_all_is_told_as_well() -> None:
    watched = Watched().live(iter([(1.0, None)]), until=20)
    assert watched.faults[0][1] == "nothing comes from the live input"


def test_our_own_pause_is_not_held_against_it() -> None:
    monitor = Watched().live(steady(0, 10)).monitor
    assert monitor.tick(40.0) is None
    monitor.media(40.1, 10_040)
    assert monitor.tick(40.2) is None
    assert monitor.state == "on"


def test_what_we_let_wait_ourselves_is_not_thought_away() -> None:
    monitor = Watched().live(steady(0, 10)).monitor
    for tick in range(51, 100):
        monitor.waits(tick * TICK_S)
        assert monitor.tick(tick * TICK_S) is None
    assert monitor.playhead_ms(100 * TICK_S) == 9_960
    monitor.media(100 * TICK_S, 10_000)
    assert monitor.state == "on"


def test_the_playhead_keeps_the_pace_of_the_clock_and_never_passes_what_has_come() -> None:
    watched = Watched().live(in_pieces(0, 30, 6))
    assert watched.monitor.playhead_ms(12.0) == pytest.approx(11_500, abs=50)
    assert watched.monitor.playhead_ms(1000.0) == 29_960


@pytest.mark.parametrize(("next_ms", "jumped"), [(10_000, False), (10_900, False), (11_500, True), (3_000, True)])
def test_a_time_that_does_not_follow_is_told(next_ms: int, jumped: bool) -> None:
    assert Watched().live(steady(0, 10)).monitor.media(10.0, next_ms) is jumped


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("media"), st.floats(0, 3), st.integers(0, 2**33)),
        st.tuples(st.just("flow"), st.floats(0, 15), st.integers(0, 2**33)),
        st.tuples(st.sampled_from(["down", "begin", "tick"]), st.floats(0, 20), st.just(0)),
    ),
    max_size=40,
)


@given(_steps)
def test_whatever_comes_it_is_back_only_after_ten_good_seconds(steps: list[tuple[str, float, int]]) -> None:
    monitor, now, ons, away_at = InputMonitor(0.0), 0.0, 0, 0.0
    before = monitor.state

    def look() -> None:
        nonlocal ons, before, away_at
        if monitor.state == "on" and before != "on":
            assert ons == 0 or now - away_at >= STABLE_S
            ons += 1
        if before == "on" and monitor.state != "on":
            away_at = now
        assert (monitor.reason is None) == (monitor.state == "on")
        before = monitor.state

    for what, wait_s, stamp in steps:
        if what == "flow":
            for frame in range(int(wait_s / FRAME_S)):
                now += FRAME_S
                monitor.media(now, stamp + frame * 40)
                monitor.tick(now)
                look()
            continue
        now += wait_s
        if what == "media":
            monitor.media(now, stamp)
        elif what == "down":
            monitor.down(now, "gone")
        elif what == "begin":
            monitor.begin(now)
        else:
            monitor.tick(now)
        look()
