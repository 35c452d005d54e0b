"""When a stream is wanted on air by the clock (STR-8). Pure: rules, zone and moments in, windows out.

A rule is said in wall-clock time of the schedule's zone and is kept that way: a show at 20:00 stays at 20:00 when the
clocks change. A wall-clock time that does not exist (the clocks went forward over it) counts as the moment after the
gap; one that exists twice counts as the first. Windows that overlap or touch are one window.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

EVERY_DAY: Final = frozenset(range(7))
_DAY: Final = timedelta(days=1)
_WEEK_MINUTES: Final = 7 * 24 * 60
_CHAIN: Final = timedelta(days=16)
"""Longer than any row of weekly windows that touch: each week has a gap, and a change of clocks may close it once."""
_LAST_DAY: Final = date(9998, 1, 1)


@dataclass(frozen=True, slots=True)
class Once:
    """From one wall-clock moment to another; neither knows a zone."""

    starts: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these days (Monday is 0), from `opens` to `closes`; on the next day when that is not later."""

    days: frozenset[int]
    opens: time
    closes: time


Rule = Once | Weekly


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """From `start` up to, not including, `end`; both in UTC."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Due:
    """What the clock says at one look: windows that came and went unseen, and the one that is open."""

    missed: tuple[Window, ...]
    open: Window | None
    next_start: datetime | None


def daily(opens: time, closes: time) -> Weekly:
    return Weekly(EVERY_DAY, opens, closes)


def occurrences(rules: Sequence[Rule], zone: ZoneInfo, after: datetime, count: int) -> list[Window]:
    """The next windows that start after a moment."""
    return list(islice((window for window in windows(rules, zone, after) if window.start > after), count))


def window_at(rules: Sequence[Rule], zone: ZoneInfo, moment: datetime) -> Window | None:
    """The window that is open."""
    first = next(windows(rules, zone, moment), None)
    return first if first is not None and first.holds(moment) else None


def due(rules: Sequence[Rule], zone: ZoneInfo, seen: datetime, now: datetime) -> Due:
    """What there is to do at `now` for somebody who last looked at `seen`."""
    missed: list[Window] = []
    for window in windows(rules, zone, min(seen, now)):
        if window.start > now:
            return Due(tuple(missed), None, window.start)
        if window.end > now:
            following = occurrences(rules, zone, window.start, 1)
            return Due(tuple(missed), window, following[0].start if following else None)
        if window.start > seen:
            missed.append(window)
    return Due(tuple(missed), None, None)


def windows(rules: Sequence[Rule], zone: ZoneInfo, since: datetime) -> Iterator[Window]:
    """Every window that ends after `since`, in order: endless while a rule is weekly. Which windows there are does
    not depend on `since`, so a window's start is its name."""
    if leaves_no_gap(rules):
        raise ValueError("these rules leave no gap: the window would have no end")
    first = _far_enough_back(rules, zone, since)
    singles = heapq.merge(*(_of_rule(rule, zone, first) for rule in rules))
    return (window for window in _joined(singles) if window.end > since)


def leaves_no_gap(rules: Iterable[Rule]) -> bool:
    """Whether the weekly rules cover the whole week, by the clock on the wall."""
    covered = bytearray(_WEEK_MINUTES)
    for rule in rules:
        for minute in _week_minutes(rule) if isinstance(rule, Weekly) else ():
            covered[minute] = 1
    return all(covered)


def moment_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The moment, in UTC, at which a clock on the wall shows `wall` for the first time, or has jumped over it."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after


# ------------------------------------------------------------------------------------------------ how


def _joined(singles: Iterable[Window]) -> Iterator[Window]:
    open_ = None
    for window in singles:
        if open_ is None or window.start > open_.end:
            if open_ is not None:
                yield open_
            open_ = window
        else:
            open_ = Window(open_.start, max(open_.end, window.end))
    if open_ is not None:
        yield open_


def _of_rule(rule: Rule, zone: ZoneInfo, since: datetime) -> Iterator[Window]:
    """The rule's own windows, from the day of `since` on; those that a change of clocks swallowed whole are none."""
    walls = [(rule.starts, rule.ends)] if isinstance(rule, Once) else _walls(rule, since.astimezone(zone).date())
    for starts, ends in walls:
        window = Window(moment_of(starts, zone), moment_of(ends, zone))
        if window.start < window.end:
            yield window


def _walls(rule: Weekly, day: date) -> Iterator[tuple[datetime, datetime]]:
    next_day = timedelta() if rule.closes > rule.opens else _DAY
    while rule.days and day < _LAST_DAY:
        if day.weekday() in rule.days:
            yield datetime.combine(day, rule.opens), datetime.combine(day, rule.closes) + next_day
        day += _DAY


def _far_enough_back(rules: Iterable[Rule], zone: ZoneInfo, since: datetime) -> datetime:
    """A moment before the start of whatever row of touching windows reaches `since`."""
    back = since - _CHAIN
    once = [(moment_of(rule.ends, zone), moment_of(rule.starts, zone)) for rule in rules if isinstance(rule, Once)]
    for end, start in sorted(once, reverse=True):
        if end >= back:
            back = min(back, start - _CHAIN)
    return back


def _week_minutes(rule: Weekly) -> Iterator[int]:
    opens, closes = (moment.hour * 60 + moment.minute for moment in (rule.opens, rule.closes))
    length = (closes - opens) % (24 * 60) or 24 * 60
    for day in rule.days:
        for minute in range(length):
            yield (day * 24 * 60 + opens + minute) % _WEEK_MINUTES
