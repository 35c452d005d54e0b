"""What a VPS sent this month: from its agent's counter, whatever is lost or comes twice."""

from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest

from fleet import traffic
from fleet.models import MonthTraffic
from fleet.traffic import Meter, book, share_gone
from lab.races import at_once
from streams.tests import build

MAY = datetime(2026, 5, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def vps(db):
    return build.vps()


def sent(vps, now=MAY) -> int | None:
    return traffic.used_this_month([vps.pk], now).get(vps.pk)


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        ([(5_000, 1)], 0),
        ([(5_000, 1), (7_000, 2)], 2_000),
        ([(5_000, 1), (7_000, 2), (7_000, 3)], 2_000),
        ([(0, 1), (100, 2), (60, 3), (80, 4)], 180),
        ([(0, 1), (100, 3), (50, 2)], 100),
        ([(0, 1), (100, 2), (100, 2)], 100),
        ([(0, 1), (-5, 2)], 0),
        ([(0, 1), (10**30, 2)], traffic.BIGGEST),
    ],
    ids=[
        "what was sent before is not ours", "what grew", "nothing new", "the agent began again", "an older word",
        "the same twice", "nonsense", "more than there is",
    ],
)  # fmt: skip
def test_what_grew_is_added(vps, heard, wanted):
    for counter, said_at in heard:
        book({vps.pk: Meter(counter, float(said_at))}, MAY)
    assert sent(vps) == wanted


AHEAD: Final = (MAY + 365 * DAY).timestamp()


def test_what_a_clock_says_that_is_ahead_waits_until_it_is_right(vps):
    now = MAY.timestamp()
    book({vps.pk: Meter(1_000, now)}, MAY)
    book({vps.pk: Meter(3_000, AHEAD)}, MAY)
    assert sent(vps) == 0
    book({vps.pk: Meter(4_000, now + 29)}, MAY)
    assert sent(vps) == 3_000


@pytest.mark.parametrize("months_ago", [0, 1], ids=["this month", "carried into the next"])
def test_a_moment_yet_to_come_holds_nothing_up(vps, months_ago):
    month = traffic.month_of(MAY - months_ago * 30 * DAY)
    MonthTraffic.objects.create(vps=vps, month=month, counter=1_000, said_at=AHEAD)
    book({vps.pk: Meter(5_000, MAY.timestamp())}, MAY)
    book({vps.pk: Meter(4_000, MAY.timestamp() - 5)}, MAY)
    assert sent(vps) == 4_000


def test_a_listener_that_was_away_finds_it_all(vps):
    book({vps.pk: Meter(1_000, 1.0)}, MAY)
    book({vps.pk: Meter(900_000, 9999.0)}, MAY + 3 * DAY)
    assert sent(vps) == 899_000


def test_a_month_begins_with_nothing_in_utc_and_goes_on_counting(vps):
    last = datetime(2026, 5, 31, 23, 59, tzinfo=UTC)
    book({vps.pk: Meter(1_000, 1.0)}, last - DAY)
    book({vps.pk: Meter(4_000, 2.0)}, last)
    june = last + timedelta(minutes=1)
    assert (sent(vps, last), sent(vps, june)) == (3_000, None)
    book({vps.pk: Meter(4_500, 3.0)}, june)
    assert (sent(vps, last), sent(vps, june)) == (3_000, 500)
    assert list(MonthTraffic.objects.values_list("month", flat=True)) == [date(2026, 6, 1), date(2026, 5, 1)]


def test_a_vps_that_is_gone_is_nobodys_concern(vps):
    book({vps.pk: Meter(0, 1.0), vps.pk + 999: Meter(0, 1.0)}, MAY)
    assert MonthTraffic.objects.count() == 1


@pytest.mark.parametrize(
    ("moment", "share"),
    [
        (datetime(2026, 2, 1, tzinfo=UTC), 0.0),
        (datetime(2026, 2, 15, tzinfo=UTC), 0.5),
        (datetime(2026, 12, 31, 12, tzinfo=UTC), 30.5 / 31),
    ],
)
def test_how_much_of_a_month_is_gone(moment, share):
    assert share_gone(moment) == pytest.approx(share)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_listeners_count_nothing_twice():
    vps = build.vps()
    book({vps.pk: Meter(0, 0.0)}, MAY)
    for step in range(1, 20):
        meter = {vps.pk: Meter(step * 100, float(step))}
        assert at_once(4, lambda meter=meter: book(meter, MAY)) == [None] * 4
    assert sent(vps) == 1_900
