"""A schedule as a value: what people set, how its rules are kept as JSON, and what is refused (STR-3), in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from accounts import time_zones
from streams import schedule
from streams.errors import Invalid
from streams.models import Schedule
from streams.schedule import Once, Rule, Weekly

MOST_RULES: Final = 20
FARTHEST: Final = timedelta(days=730)
_WALL: Final = "%Y-%m-%dT%H:%M"
_CLOCK: Final = "%H:%M"


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """`zone` is a name people choose from (`accounts.time_zones`); rules are in its wall-clock time."""

    zone: str
    rules: tuple[Rule, ...]
    is_on: bool = True

    @property
    def place(self) -> ZoneInfo:
        return time_zones.zone(self.zone)


def spec_of(row: Schedule) -> ScheduleSpec:
    return ScheduleSpec(row.zone, tuple(map(rule_of, row.rules)), row.is_on)


def as_json(rule: Rule) -> dict[str, Any]:
    """Every day is said as `daily`: that is what people mean by it."""
    if isinstance(rule, Once):
        return {"kind": "once", "starts": rule.starts.strftime(_WALL), "ends": rule.ends.strftime(_WALL)}
    clock = {"opens": rule.opens.strftime(_CLOCK), "closes": rule.closes.strftime(_CLOCK)}
    if rule.days == schedule.EVERY_DAY:
        return {"kind": "daily", **clock}
    return {"kind": "weekly", "days": sorted(rule.days), **clock}


def rule_of(row: dict[str, Any]) -> Rule:
    if row["kind"] == "once":
        return Once(datetime.fromisoformat(row["starts"]), datetime.fromisoformat(row["ends"]))
    days = schedule.EVERY_DAY if row["kind"] == "daily" else frozenset(row["days"])
    return Weekly(days, time.fromisoformat(row["opens"]), time.fromisoformat(row["closes"]))


def check(spec: ScheduleSpec, now: datetime, stored: ScheduleSpec | None = None) -> ScheduleSpec:
    """The cleaned spec. A one-off that `stored` has may have begun, and its end may move; those that are over go."""
    zone = time_zones.known(spec.zone.strip())
    if not zone:
        raise Invalid({"zone": _("There is no time zone «%(zone)s».") % {"zone": spec.zone[:80]}})
    if len(spec.rules) > MOST_RULES:
        raise Invalid({"__all__": _("A schedule has at most %(most)d windows.") % {"most": MOST_RULES}})
    clean = replace(spec, zone=zone)
    known = stored.rules if stored and stored.zone == zone else ()
    problems = {f"rules.{at}": _problem(rule, clean, now, known) for at, rule in enumerate(spec.rules)}
    found = {name: words for name, words in problems.items() if words}
    if found:
        raise Invalid(found)
    clean = without_past(clean, now)
    if words := _whole_problem(clean.rules, was_something=bool(spec.rules)):
        raise Invalid({"__all__": words})
    return clean


def _whole_problem(rules: Sequence[Rule], *, was_something: bool) -> str | None:
    if not rules:
        return _("All of these windows are over. Add another one.") if was_something else _("Add at least one window.")
    if schedule.leaves_no_gap(rules):
        return _("These windows leave no gap, so nothing would ever end. No schedule is needed for that: press Start.")
    return None


def without_past(spec: ScheduleSpec, now: datetime) -> ScheduleSpec:
    """Without one-offs that are over, and each rule once."""
    rules = dict.fromkeys(spec.rules)
    left = (each for each in rules if isinstance(each, Weekly) or schedule.moment_of(each.ends, spec.place) > now)
    return replace(spec, rules=tuple(left))


def _problem(rule: Rule, spec: ScheduleSpec, now: datetime, known: Sequence[Rule]) -> str | None:
    edges = (rule.starts, rule.ends) if isinstance(rule, Once) else (rule.opens, rule.closes)
    if any(edge.tzinfo or edge.second or edge.microsecond for edge in edges):
        return _("Say times to the minute and without an offset: the time zone says the rest.")
    if rule in known:
        return None
    return _problem_of_once(rule, spec, now, known) if isinstance(rule, Once) else _problem_of_weekly(rule)


def _problem_of_weekly(rule: Weekly) -> str | None:
    if not rule.days:
        return _("Choose at least one day.")
    if not rule.days <= schedule.EVERY_DAY:
        return _("Days are numbers from 0 (Monday) to 6 (Sunday).")
    if rule.opens == rule.closes:
        return _("The window has no length: its end is its start.")
    return None


def _problem_of_once(rule: Once, spec: ScheduleSpec, now: datetime, known: Sequence[Rule]) -> str | None:
    here = now.astimezone(spec.place).replace(tzinfo=None)
    has_begun_before = any(isinstance(each, Once) and each.starts == rule.starts for each in known)
    if max(rule.starts, rule.ends) > here + FARTHEST:
        return _("That is more than two years ahead.")
    if not has_begun_before and (rule.starts < here or schedule.moment_of(rule.starts, spec.place) <= now):
        return _("The start is in the past.")
    if rule.ends <= rule.starts:
        return _("The end must be after the start.")
    start, end = (schedule.moment_of(wall, spec.place) for wall in (rule.starts, rule.ends))
    if end <= start:
        return _("The clocks jump over this window: it has no length.")
    return _("The end is in the past.") if end <= now else None
