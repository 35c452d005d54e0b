"""The clock's arithmetic: cases by hand, then against a scan minute by minute that knows nothing of rules."""

from datetime import UTC, datetime, time, timedelta
from functools import cache
from itertools import pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from streams import schedule
from streams.schedule import Once, Weekly, Window, daily, moment_of

BERLIN, NEW_YORK, SAIGON = (ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Asia/Ho_Chi_Minh"))
LORD_HOWE, APIA, CASABLANCA = (ZoneInfo(n) for n in ("Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"))
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def clock(text: str) -> time:
    return time.fromisoformat(text)


def weekly(days, opens, closes) -> Weekly:
    return Weekly(frozenset(days), clock(opens), clock(closes))


def shown(windows) -> list[str]:
    return [f"{each.start:%m-%d %H:%M}/{each.end:%m-%d %H:%M}" for each in windows]


MOMENTS = [
    ("an ordinary day", BERLIN, "2026-01-15T20:00", "2026-01-15T19:00"),
    ("before the gap", BERLIN, "2026-03-29T01:59", "2026-03-29T00:59"),
    ("in the gap: the moment after it", BERLIN, "2026-03-29T02:00", "2026-03-29T01:00"),
    ("late in the gap: the same moment", BERLIN, "2026-03-29T02:59", "2026-03-29T01:00"),
    ("after the gap", BERLIN, "2026-03-29T03:00", "2026-03-29T01:00"),
    ("twice: the first", BERLIN, "2026-10-25T02:30", "2026-10-25T00:30"),
    ("after what is twice", BERLIN, "2026-10-25T03:00", "2026-10-25T02:00"),
    ("in New York's gap", NEW_YORK, "2026-03-08T02:30", "2026-03-08T07:00"),
    ("twice in New York", NEW_YORK, "2026-11-01T01:30", "2026-11-01T05:30"),
    ("a gap of half an hour", LORD_HOWE, "2026-10-04T02:10", "2026-10-03T15:30"),
    ("a day that never was", APIA, "2011-12-30T12:00", "2011-12-30T10:00"),
    ("no daylight saving", SAIGON, "2026-03-29T02:30", "2026-03-28T19:30"),
]


@pytest.mark.parametrize(("zone", "said", "meant"), [case[1:] for case in MOMENTS], ids=[case[0] for case in MOMENTS])
def test_what_the_clock_on_the_wall_means(zone, said, meant):
    assert moment_of(wall(said), zone) == at(meant)


CASES = [
    (
        "every evening, the same hour on the wall over the change in spring",
        [daily(clock("20:00"), clock("22:00"))], BERLIN, "2026-03-27T20:00",
        ["03-28 19:00/03-28 21:00", "03-29 18:00/03-29 20:00", "03-30 18:00/03-30 20:00"],
    ),
    (
        "and in autumn",
        [daily(clock("20:00"), clock("22:00"))], BERLIN, "2026-10-23T20:00",
        ["10-24 18:00/10-24 20:00", "10-25 19:00/10-25 21:00", "10-26 19:00/10-26 21:00"],
    ),
    (
        "over midnight",
        [weekly([FRI], "22:00", "02:00")], SAIGON, "2026-06-01T00:00",
        ["06-05 15:00/06-05 19:00", "06-12 15:00/06-12 19:00"],
    ),
    (
        "over midnight and the gap: an hour shorter",
        [weekly([SAT], "23:00", "04:00")], BERLIN, "2026-03-27T00:00",
        ["03-28 22:00/03-29 02:00", "04-04 21:00/04-05 02:00"],
    ),
    (
        "over midnight and what is twice: an hour longer",
        [weekly([SAT], "23:00", "04:00")], BERLIN, "2026-10-23T00:00",
        ["10-24 21:00/10-25 03:00", "10-31 22:00/11-01 03:00"],
    ),
    (
        "a window inside the gap is none that night",
        [daily(clock("02:10"), clock("02:50"))], BERLIN, "2026-03-28T00:00",
        ["03-28 01:10/03-28 01:50", "03-30 00:10/03-30 00:50"],
    ),
    (
        "one that begins in the gap begins after it",
        [daily(clock("02:30"), clock("03:30"))], BERLIN, "2026-03-29T00:00",
        ["03-29 01:00/03-29 01:30", "03-30 00:30/03-30 01:30"],
    ),
    (
        "one inside what is twice is on once",
        [daily(clock("02:10"), clock("02:50"))], BERLIN, "2026-10-24T12:00",
        ["10-25 00:10/10-25 00:50", "10-26 01:10/10-26 01:50"],
    ),
    (
        "overlapping rules are one window",
        [
            weekly([MON], "10:00", "12:00"),
            weekly([MON], "11:00", "14:00"),
            Once(wall("2026-06-01T13:00"), wall("2026-06-01T15:00")),
        ],
        ZoneInfo("UTC"), "2026-05-31T00:00",
        ["06-01 10:00/06-01 15:00", "06-08 10:00/06-08 14:00"],
    ),
    (
        "rules that touch are one window",
        [weekly([MON], "10:00", "12:00"), weekly([MON], "12:00", "14:00")], ZoneInfo("UTC"), "2026-05-31T00:00",
        ["06-01 10:00/06-01 14:00"],
    ),
    (
        "one inside another adds nothing",
        [weekly([MON], "10:00", "18:00"), weekly([MON], "12:00", "13:00")], ZoneInfo("UTC"), "2026-05-31T00:00",
        ["06-01 10:00/06-01 18:00"],
    ),
    (
        "a one-off over the change of clocks",
        [Once(wall("2026-03-29T01:00"), wall("2026-03-29T05:00"))], BERLIN, "2026-03-01T00:00",
        ["03-29 00:00/03-29 03:00"],
    ),
    (
        "a one-off that has begun is not next",
        [Once(wall("2026-03-01T10:00"), wall("2026-03-01T12:00"))], SAIGON, "2026-03-01T03:00", [],
    ),
    ("no day, no window", [weekly([], "10:00", "12:00")], BERLIN, "2026-03-01T00:00", []),
    ("no rule, no window", [], BERLIN, "2026-03-01T00:00", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "zone", "after", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_comes_next(rules, zone, after, wanted):
    assert shown(schedule.occurrences(rules, zone, at(after), len(wanted) or 1)) == wanted


def test_a_long_one_off_joins_what_touches_it_however_far_back_it_began():
    once = Once(wall("2026-01-02T00:00"), wall("2026-03-01T00:00"))
    rules = [once, daily(clock("23:00"), clock("01:00"))]
    for moment in ("2026-01-02T00:00", "2026-02-20T12:00", "2026-03-01T00:30"):
        window = schedule.window_at(rules, ZoneInfo("UTC"), at(moment))
        assert shown([window]) == ["01-01 23:00/03-01 01:00"]


GAPLESS = [
    ([daily(clock("00:00"), clock("12:00")), daily(clock("12:00"), clock("00:00"))], True),
    ([daily(clock("08:00"), clock("08:00"))], True),
    ([daily(clock("00:00"), clock("23:59"))], False),
    ([weekly(range(6), "00:00", "00:00"), weekly([SUN], "00:00", "23:59")], False),
    ([weekly(range(6), "12:00", "12:00"), weekly([SUN], "12:00", "12:00")], True),
]


@pytest.mark.parametrize(("rules", "endless"), GAPLESS)
def test_rules_without_a_gap_are_told(rules, endless):
    assert schedule.leaves_no_gap(rules) is endless
    if endless:
        with pytest.raises(ValueError, match="no gap"):
            schedule.occurrences(rules, BERLIN, at("2026-01-01T00:00"), 1)


EVENINGS = [daily(clock("20:00"), clock("22:00"))]
LOOKS = [
    ("a minute early", "2026-06-01T12:00", "2026-06-01T19:59", [], None, "06-01 20:00"),
    ("on the dot", "2026-06-01T19:59", "2026-06-01T20:00", [], "06-01 20:00", "06-02 20:00"),
    ("late, inside", "2026-06-01T12:00", "2026-06-01T21:59", [], "06-01 20:00", "06-02 20:00"),
    ("its end is outside", "2026-06-01T20:00", "2026-06-01T22:00", [], None, "06-02 20:00"),
    ("one came and went", "2026-06-01T12:00", "2026-06-01T22:00", ["06-01 20:00"], None, "06-02 20:00"),
    ("seen once, not missed", "2026-06-01T20:00", "2026-06-02T19:00", [], None, "06-02 20:00"),
    ("days away", "2026-06-01T12:00", "2026-06-03T20:30", ["06-01 20:00", "06-02 20:00"], "06-03 20:00", "06-04 20:00"),
    ("a clock set back", "2026-06-01T21:00", "2026-06-01T20:30", [], "06-01 20:00", "06-02 20:00"),
]


@pytest.mark.parametrize(
    ("seen", "now", "missed", "open_", "following"), [case[1:] for case in LOOKS], ids=[case[0] for case in LOOKS]
)
def test_what_is_due_at_one_look(seen, now, missed, open_, following):
    due = schedule.due(EVENINGS, ZoneInfo("UTC"), at(seen), at(now))
    assert [f"{each.start:%m-%d %H:%M}" for each in due.missed] == missed
    assert (f"{due.open.start:%m-%d %H:%M}" if due.open else None) == open_
    assert f"{due.next_start:%m-%d %H:%M}" == following


def test_after_the_last_one_off_nothing_is_due_again():
    rules = [Once(wall("2026-06-01T20:00"), wall("2026-06-01T22:00"))]
    due = schedule.due(rules, BERLIN, at("2026-06-01T00:00"), at("2026-06-02T00:00"))
    assert (len(due.missed), due.open, due.next_start) == (1, None, None)


# ------------------------------------------------------------------------------------------------ always

ZONES = some.sampled_from([BERLIN, NEW_YORK, SAIGON, LORD_HOWE, CASABLANCA, ZoneInfo("UTC")])
CLOCKS = some.builds(time, some.integers(0, 23), some.sampled_from([0, 1, 15, 30, 59]))
NEAR = some.sampled_from(
    [wall(day) for day in ("2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31", "2026-06-01", "2026-10-03")]
)
WALLS = some.builds(lambda day, minutes: day + timedelta(minutes=minutes), NEAR, some.integers(0, 3 * 24 * 60))
WEEKLIES = some.builds(Weekly, some.frozensets(some.integers(0, 6)), CLOCKS, CLOCKS)
ONCES = some.builds(Once, WALLS, WALLS)
RULES = some.lists(WEEKLIES | ONCES, min_size=1, max_size=4)
SINCE = some.builds(lambda moment: moment.replace(tzinfo=UTC), WALLS)


def is_wanted(rules, zone, moment) -> bool:
    """By each rule's own words, day by day, nothing merged."""
    for rule in rules:
        if isinstance(rule, Once):
            pairs = [(rule.starts, rule.ends)]
        else:
            today = datetime.combine(moment.astimezone(zone).date(), time())
            days = (today + timedelta(days=ahead) for ahead in range(-3, 2))
            pairs = [
                (datetime.combine(day, rule.opens), datetime.combine(day, rule.closes) + timedelta(days=longer))
                for day in days
                if day.weekday() in rule.days
                for longer in [int(rule.closes <= rule.opens)]
            ]
        if any(first_shown(start, zone) <= moment < first_shown(end, zone) for start, end in pairs):
            return True
    return False


def opened_by(moment: datetime, windows) -> list[Window]:
    return list(takewhile(lambda window: window.start <= moment, windows))


@cache
def first_shown(said: datetime, zone: ZoneInfo) -> datetime:
    """The first whole minute at which a clock on the wall shows `said` or something later: found by looking at it."""
    moment = said.replace(tzinfo=UTC) - timedelta(hours=15)
    while moment.astimezone(zone).replace(tzinfo=None) < said:
        behind = said - moment.astimezone(zone).replace(tzinfo=None)
        moment += max(timedelta(minutes=1), behind - timedelta(hours=2))
    return moment


@settings(max_examples=100, deadline=None)
@given(RULES, ZONES, SINCE)
def test_occurrences_agree_with_a_scan_minute_by_minute(rules, zone, since):
    assume(not schedule.leaves_no_gap(rules))
    until = since + timedelta(hours=30)
    found = opened_by(until, schedule.windows(rules, zone, since))
    for minute in range(0, 30 * 60, 7):
        moment = since + timedelta(minutes=minute)
        inside = any(window.holds(moment) for window in found)
        assert inside == is_wanted(rules, zone, moment), moment
        assert inside == (schedule.window_at(rules, zone, moment) is not None)


@settings(max_examples=100, deadline=None)
@given(RULES, ZONES, SINCE)
def test_occurrences_come_in_order_and_apart(rules, zone, since):
    assume(not schedule.leaves_no_gap(rules))
    found = schedule.occurrences(rules, zone, since, 12)
    assert all(window.start > since and window.start < window.end for window in found)
    assert all(one.end < other.start for one, other in pairwise(found))


@settings(max_examples=100, deadline=None)
@given(RULES, ZONES, SINCE, some.integers(0, 20 * 24 * 60))
def test_a_window_is_the_same_from_wherever_one_looks(rules, zone, since, minutes):
    assume(not schedule.leaves_no_gap(rules))
    later = since + timedelta(minutes=minutes)
    found = schedule.occurrences(rules, zone, since, 60)
    assert [w for w in found if w.start > later] == schedule.occurrences(rules, zone, later, 60)[
        : len([w for w in found if w.start > later])
    ]
    inside = next((window for window in found if window.holds(later)), None)
    if inside is not None:
        assert schedule.window_at(rules, zone, later) == inside


@settings(max_examples=100, deadline=None)
@given(RULES, ZONES, SINCE, some.lists(some.integers(0, 3000), min_size=1, max_size=12))
def test_however_often_one_looks_every_window_is_opened_or_missed_once(rules, zone, since, steps):
    assume(not schedule.leaves_no_gap(rules))
    seen, taken = since, []
    for step in steps:
        now = seen + timedelta(minutes=step)
        due = schedule.due(rules, zone, seen, now)
        taken += [*due.missed, *([due.open] if due.open else [])]
        assert due.next_start is None or due.next_start > now
        seen = now
    starts = [window.start for window in dict.fromkeys(taken)]
    assert starts == sorted(set(starts))
    wanted = [window.start for window in opened_by(seen, schedule.windows(rules, zone, since))]
    assert [start for start in starts if start > since] == [start for start in wanted if start > since]


def test_a_window_knows_its_edges():
    window = Window(at("2026-06-01T20:00"), at("2026-06-01T22:00"))
    edges = ("19:59", "20:00", "21:59", "22:00")
    assert [window.holds(at(f"2026-06-01T{edge}")) for edge in edges] == [False, True, True, False]
