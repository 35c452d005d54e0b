"""A stream's schedule over HTTP: the same verbs and words as the page."""

from __future__ import annotations

from datetime import datetime, time
from typing import Annotated, Any, Literal

from django.http import Http404, HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from streams import access, actions, schedule
from streams.models import Schedule
from streams.schedule import Once, Rule, Weekly
from streams.schedule_spec import ScheduleSpec, as_json, spec_of

router = Router(tags=["schedule"])
NEXT: int = 5


class OnceRule(Schema):
    """Wall-clock moments in the schedule's zone, as 2026-12-31T20:00."""

    kind: Literal["once"]
    starts: datetime
    ends: datetime

    def rule(self) -> Rule:
        return Once(self.starts, self.ends)


class DailyRule(Schema):
    """An end that is not after the start is on the next day."""

    kind: Literal["daily"]
    opens: time
    closes: time

    def rule(self) -> Rule:
        return schedule.daily(self.opens, self.closes)


class WeeklyRule(Schema):
    """Days from 0 (Monday) to 6 (Sunday)."""

    kind: Literal["weekly"]
    days: set[int]
    opens: time
    closes: time

    def rule(self) -> Rule:
        return Weekly(frozenset(self.days), self.opens, self.closes)


AnyRule = Annotated[OnceRule | DailyRule | WeeklyRule, Field(discriminator="kind")]


class ScheduleIn(Schema):
    zone: str
    on: bool = True
    rules: list[AnyRule]


class WindowOut(Schema):
    start: datetime
    end: datetime


class ScheduleOut(Schema):
    """`next` are the windows to come, `open` the one that is open; moments with their offset."""

    zone: str
    on: bool
    rules: list[dict[str, Any]]
    open: WindowOut | None
    next: list[WindowOut]


@router.get("/{int:stream_id}/schedule", response=ScheduleOut)
def get_schedule(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    stream = access.stream_of(request.user, stream_id)
    row = Schedule.objects.filter(stream=stream).first()
    if row is None:
        raise Http404("no schedule")
    return _out(row)


@router.put("/{int:stream_id}/schedule", response=ScheduleOut)
def put_schedule(request: HttpRequest, stream_id: int, body: ScheduleIn) -> dict[str, Any]:
    stream = access.stream_of(request.user, stream_id)
    spec = ScheduleSpec(body.zone, tuple(each.rule() for each in body.rules), body.on)
    return _out(actions.set_schedule(stream, spec, access.person(request.user)))


@router.delete("/{int:stream_id}/schedule", response={204: None})
def delete_schedule(request: HttpRequest, stream_id: int) -> None:
    actions.clear_schedule(access.stream_of(request.user, stream_id), access.person(request.user))


def _out(row: Schedule) -> dict[str, Any]:
    spec, now = spec_of(row), timezone.now()
    opened = schedule.window_at(spec.rules, spec.place, now)
    return {
        "zone": spec.zone,
        "on": spec.is_on,
        "rules": [as_json(rule) for rule in spec.rules],
        "open": _window(opened) if opened else None,
        "next": [_window(each) for each in schedule.occurrences(spec.rules, spec.place, now, NEXT)],
    }


def _window(window: schedule.Window) -> dict[str, datetime]:
    return {"start": window.start, "end": window.end}
