"""Streams are taken off a VPS that is drained, or whose trouble harms what is on air there (FLT-5): one at a time,
where another VPS has room, at an item's end if one comes soon. `streams.moving` does it.

A VPS that is drained and holds nothing any more is INACTIVE.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db.models import F, Q
from django.utils.translation import gettext as _

from fleet import lifecycle, slots
from fleet.errors import WrongState
from fleet.models import Vps, VpsStatus
from streams import moving, resume
from streams.errors import Refused
from streams.models import Run, Status

log = structlog.get_logger(__name__)
PATIENCE_S: Final = 120.0
"""So long an item's end is waited for."""
SOON_S: Final = 4.0
"""An item that ends within that has ended by the time the old VPS has stopped."""
DRAIN_PAUSE: Final = timedelta(seconds=10)
HARM_PAUSE: Final = timedelta(minutes=3)
"""The load is measured over minutes: it must show whether one less is enough."""
HARM_LASTS: Final = timedelta(seconds=50)
"""Two checks in a row."""


@dataclass(frozen=True, slots=True)
class Leaver:
    """A run that may be moved; `left_s` until its item ends, None when nobody knows."""

    run: Run
    left_s: float | None


def pick(leavers: Iterable[Leaver], waited_s: float) -> Run | None:
    """Whose item ends now; once we have waited long enough, whose ends first. Pure."""
    ordered = sorted(leavers, key=lambda each: float("inf") if each.left_s is None else each.left_s)
    if not ordered:
        return None
    first = ordered[0]
    is_ending = first.left_s is not None and first.left_s <= SOON_S
    return first.run if is_ending or waited_s >= PATIENCE_S else None


def run(now: datetime) -> int:
    """How many streams were moved."""
    _retire_empty()
    return sum(_relieve(vps, now) for vps in _to_leave(now))


def _to_leave(now: datetime) -> list[Vps]:
    is_drained = Q(status=VpsStatus.DRAINING, drain_moves=True)
    does_harm = Q(status__in=[VpsStatus.ACTIVE, VpsStatus.DRAINING], harms_since__lte=now - HARM_LASTS)
    return list(Vps.objects.reachable(now).filter(is_drained | does_harm))


def _relieve(vps: Vps, now: datetime) -> bool:
    pause = DRAIN_PAUSE if vps.state is VpsStatus.DRAINING and vps.drain_moves else HARM_PAUSE
    if vps.left_at is not None and now - vps.left_at < pause:
        return False
    since = max(filter(None, (vps.left_at and vps.left_at + pause, _since(vps))), default=now)
    chosen = pick(_leavers(vps, now), (now - since).total_seconds())
    if chosen is None or not moving.choice(chosen, now).best or not _claim(vps, now):
        return False
    try:
        moving.move(chosen, _why(vps), now)
    except Refused as refusal:
        log.info("vps.not_relieved", vps=vps.pk, why=refusal.message)
        return False
    return True


def _since(vps: Vps) -> datetime | None:
    return vps.draining_since if vps.state is VpsStatus.DRAINING else vps.harms_since


def _leavers(vps: Vps, now: datetime) -> list[Leaver]:
    """What is on air there. One that is paused stays until it is resumed: it would not be paused elsewhere. None while
    the last one that left is not on air again."""
    if Run.objects.filter(left_vps=vps, moved_at__isnull=False, stream__run=F("pk"), stream__status=Status.STARTING):
        return []
    rows = Run.objects.holding().filter(vps=vps, stream__run=F("pk"), stream__status=Status.STREAMING)
    runs = [run for run in rows.select_related("stream", "vps") if not (run.report or {}).get("paused")]
    return [Leaver(run, _left_s(run, now)) for run in runs]


def _left_s(run: Run, now: datetime) -> float | None:
    elapsed_s = (now - run.reported_at).total_seconds() if run.reported_at else 0.0
    return resume.left_s(run.report or {}, max(0.0, elapsed_s))


def _claim(vps: Vps, now: datetime) -> bool:
    """Several listeners sweep: one of them takes the turn."""
    return Vps.objects.filter(pk=vps.pk, left_at=vps.left_at).update(left_at=now) > 0


def _why(vps: Vps) -> str:
    if vps.state is VpsStatus.DRAINING:
        return _("«%(vps)s» is being drained") % {"vps": vps.name}
    return _("«%(vps)s» is unwell: %(why)s") % {"vps": vps.name, "why": vps.unhealthy}


def _retire_empty() -> None:
    for vps in Vps.objects.filter(status=VpsStatus.DRAINING):
        if slots.held(vps.pk):
            continue
        with contextlib.suppress(WrongState):
            lifecycle.fire(vps.pk, lifecycle.Event.SWITCH_OFF)
            log.info("vps.drained", vps=vps.pk)
