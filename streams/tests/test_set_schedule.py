"""What a schedule must be, and how it is kept."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from streams import actions, schedule_spec
from streams.errors import Refused
from streams.models import Schedule
from streams.schedule import Once, Weekly
from streams.schedule_spec import ScheduleSpec

DAY = timedelta(days=1)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def once(starts, ends):
    return Once(datetime.fromisoformat(starts), datetime.fromisoformat(ends))


def clocks(opens, closes, days=range(7)):
    return Weekly(frozenset(days), time.fromisoformat(opens), time.fromisoformat(closes))


REFUSED = [
    ("Berlin", (clocks("20:00", "22:00"),), "zone", "There is no time zone «Berlin»."),
    ("../../etc/passwd", (clocks("20:00", "22:00"),), "zone", "There is no time zone"),
    ("UTC", (), "__all__", "Add at least one window."),
    ("UTC", (clocks("20:00", "20:00"),), "rules.0", "no length"),
    ("UTC", (clocks("20:00", "22:00", ()),), "rules.0", "Choose at least one day."),
    ("UTC", (clocks("20:00", "22:00", (7,)),), "rules.0", "0 (Monday) to 6"),
    ("UTC", (clocks("20:00", "22:00:30"),), "rules.0", "to the minute"),
    ("UTC", (clocks("20:00+02:00", "22:00+02:00"),), "rules.0", "without an offset"),
    ("UTC", (clocks("20:00", "22:00"), once("2026-06-01T11:59", "2026-06-01T14:00")), "rules.1", "in the past"),
    ("UTC", (once("2026-06-01T12:00", "2026-06-01T14:00"),), "rules.0", "in the past"),
    ("Asia/Ho_Chi_Minh", (once("2026-06-01T18:59", "2026-06-01T22:00"),), "rules.0", "in the past"),
    ("America/New_York", (once("2026-06-01T07:59", "2026-06-01T22:00"),), "rules.0", "in the past"),
    ("UTC", (once("0001-01-01T00:00", "2026-06-01T14:00"),), "rules.0", "in the past"),
    ("UTC", (once("2026-06-01T13:00", "9999-12-31T23:59"),), "rules.0", "two years ahead"),
    ("UTC", (once("2026-06-01T13:00", "2026-06-01T13:00"),), "rules.0", "end must be after the start"),
    ("UTC", (once("2026-06-01T13:00", "0001-01-01T00:00"),), "rules.0", "end must be after the start"),
    ("Europe/Berlin", (once("2027-03-28T02:00", "2027-03-28T03:00"),), "rules.0", "clocks jump over"),
    ("UTC", tuple(clocks("20:00", f"21:{m:02}") for m in range(21)), "__all__", "at most 20"),
    ("UTC", (clocks("00:00", "12:00"), clocks("12:00", "00:00")), "__all__", "no gap"),
]


@pytest.mark.parametrize(("zone", "rules", "field", "words"), REFUSED)
def test_what_is_no_schedule_is_refused_in_words(stream, alice, zone, rules, field, words):
    with pytest.raises(Refused) as refusal:
        actions.set_schedule(stream, ScheduleSpec(zone, rules), alice, now=NOW)
    assert words in refusal.value.fields[field]
    assert not Schedule.objects.exists()


COMES_BACK = [
    clocks("20:00", "22:00"),
    clocks("22:00", "02:00", (4,)),
    once("2026-06-02T13:00", "2026-06-04T01:30"),
]


@pytest.mark.parametrize("rule", COMES_BACK)
def test_a_schedule_comes_back_as_it_went_in(stream, alice, rule):
    spec = ScheduleSpec("Europe/Berlin", (rule,))
    actions.set_schedule(stream, spec, alice, now=NOW)
    row = Schedule.objects.get()
    assert schedule_spec.spec_of(row) == spec
    assert (row.look_at, row.is_on) == (NOW, True)


def test_a_one_off_on_air_may_get_another_end_and_one_that_is_over_goes(stream, alice):
    over, running = once("2026-06-01T13:00", "2026-06-01T14:00"), once("2026-06-01T16:00", "2026-06-01T18:00")
    spec = ScheduleSpec("UTC", (over, running))
    actions.set_schedule(stream, spec, alice, now=NOW)
    later = NOW + timedelta(hours=5)
    longer = replace(running, ends=running.ends + timedelta(hours=1))
    actions.set_schedule(stream, replace(spec, rules=(over, longer)), alice, now=later)
    assert schedule_spec.spec_of(Schedule.objects.get()).rules == (longer,)
    shorter = replace(running, ends=running.starts + timedelta(minutes=5))
    with pytest.raises(Refused, match="The end is in the past"):
        actions.set_schedule(stream, replace(spec, rules=(shorter,)), alice, now=later)
    with pytest.raises(Refused, match="All of these windows are over"):
        actions.set_schedule(stream, replace(spec, rules=(longer,), is_on=False), alice, now=later + DAY)


def test_switching_what_is_not_there_is_refused(stream, alice):
    with pytest.raises(Refused, match="no schedule"):
        actions.switch_schedule(stream, True, alice)


def test_a_schedule_whose_last_window_is_over_can_still_be_switched_off(stream, alice):
    actions.set_schedule(stream, ScheduleSpec("UTC", (once("2026-06-01T13:00", "2026-06-01T14:00"),)), alice, now=NOW)
    assert not actions.switch_schedule(stream, False, alice, now=NOW + DAY).is_on
