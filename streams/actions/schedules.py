"""Set a schedule, switch it, take it away. Neither starts nor stops anything by itself: the next look does."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import occurrences, progress, schedule, schedule_spec
from streams.errors import WrongState
from streams.models import Schedule, Stream
from streams.schedule_spec import ScheduleSpec


@again_on_conflict
@transaction.atomic
def set_schedule(stream: Stream, spec: ScheduleSpec, actor: User | None, now: datetime | None = None) -> Schedule:
    """Windows that opened before are not missed: they were not there. One that is open now counts."""
    now = now or timezone.now()
    held = _held(stream)
    row = Schedule.objects.filter(stream=held).first()
    stored = schedule_spec.spec_of(row) if row else None
    clean = schedule_spec.check(spec, now, stored)
    return row if row is not None and clean == stored else _write(held, clean, actor, now)


@again_on_conflict
@transaction.atomic
def switch_schedule(stream: Stream, is_on: bool, actor: User | None, now: datetime | None = None) -> Schedule:
    """Off: the rules are kept, and what is on air stays there. What was set before is not checked again."""
    held = _held(stream)
    row = Schedule.objects.filter(stream=held).first()
    if row is None:
        raise WrongState(_("This stream has no schedule."))
    if row.is_on == is_on:
        return row
    return _write(held, replace(schedule_spec.spec_of(row), is_on=is_on), actor, now or timezone.now())


@again_on_conflict
@transaction.atomic
def clear_schedule(stream: Stream, actor: User | None, now: datetime | None = None) -> None:
    """Takes it away. What it put on air stays there; clearing what is not there is no mistake."""
    held = _held(stream)
    gone, _kinds = Schedule.objects.filter(stream=held).delete()
    if gone:
        occurrences.fit(held, None, now or timezone.now())
        audit.record(actor, "clear schedule", held)
        progress.poke(held.pk, held.owner_id)


def _write(stream: Stream, spec: ScheduleSpec, actor: User | None, now: datetime) -> Schedule:
    written = {"zone": spec.zone, "rules": [*map(schedule_spec.as_json, spec.rules)], "is_on": spec.is_on}
    row, _made = Schedule.objects.update_or_create(stream=stream, defaults={**written, "seen_at": now, "look_at": now})
    _follow(stream, spec, now)
    audit.record(actor, "set schedule", stream, None, **written)
    progress.poke(stream.pk, stream.owner_id)
    return row


def _held(stream: Stream) -> Stream:
    held = occurrences.hold(stream.pk)
    if held is None:
        raise WrongState(_("The stream is not there any more."))
    return held


def _follow(stream: Stream, spec: ScheduleSpec, now: datetime) -> None:
    window = schedule.window_at(spec.rules, spec.place, now) if spec.is_on else None
    if occurrences.fit(stream, window, now) is None and window is not None and occurrences.open_one(stream) is None:
        occurrences.reopen(stream, window)
