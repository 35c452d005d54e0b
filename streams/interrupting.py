"""A run that its VPS cannot hold any more: taken from there, and to be started again, or given up with the reason.

Its slot goes back and its epoch goes up in one transaction. From then on whoever still plays it is told to stop by
each heartbeat, and nothing it says is believed.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from agent.protocol import RunReport
from kit.conflicts import again_on_conflict
from streams import lifecycle, restart, resume
from streams.errors import WrongState
from streams.lifecycle import Event
from streams.models import EndReason, PlaylistItem, Run, Status, Transition
from streams.restart import Cause, GiveUp, Past

log = structlog.get_logger(__name__)
AT_ONCE: Final = 200
"""Runs taken from silent servers in one go: between two goes heartbeats of the others are heard."""
INTERRUPTIBLE: Final = (Status.STARTING, Status.STREAMING)
END_REASONS: Final = {
    Cause.LOST: EndReason.LOST,
    Cause.NOT_PLACED: EndReason.NO_VPS,
    Cause.STUCK: EndReason.SILENT,
}


@again_on_conflict
@transaction.atomic
def interrupt(
    run: Run, cause: Cause, message: str, now: datetime, *, reason: str = "", heard_at: datetime | None = None
) -> bool:
    """`run` as it was found: False, and nothing was done, when it is not so any more. `reason` (an `EndReason`) is how
    it ends if it is given up; `heard_at`: when it was last heard of, where silence is all that is known."""
    lifecycle.lock(run.stream_id)
    fresh = Run.objects.select_related("stream").filter(pk=run.pk).first()
    if (
        fresh is None
        or fresh.epoch != run.epoch
        or fresh.stream.run_id != run.pk
        or fresh.stream.state not in INTERRUPTIBLE
    ):
        return False
    verdict = restart.after(cause, _past(fresh, now), random.random())  # noqa: S311  (jitter)
    log.warning("stream.interrupted", stream=run.stream_id, run=str(run.pk), cause=cause, verdict=repr(verdict))
    if isinstance(verdict, GiveUp):
        why = reason or END_REASONS.get(cause, EndReason.FAILED)
        words = _given_up(verdict, message)
        lifecycle.fire(
            run.stream_id, Event.FAILED, run_id=run.pk, message=words, reason=why, heard_at=heard_at, now=now
        )
    else:
        lifecycle.fire(run.stream_id, Event.INTERRUPTED, run_id=run.pk, message=message, heard_at=heard_at, now=now)
        Run.objects.filter(pk=run.pk).update(**_columns(fresh, message, verdict, now))
    return True


def _past(run: Run, now: datetime) -> Past:
    live_s = (now - run.live_since).total_seconds() if run.live_since else None
    return Past(
        tries=run.tries, most=run.stream.max_restarts, was_on_air=run.on_air_at is not None, live_s=live_s
    )  # fmt: skip


def _columns(run: Run, message: str, again: restart.Again, now: datetime) -> dict[str, Any]:
    return {
        "vps": None,
        "left_vps": run.vps_id or run.left_vps_id,
        "epoch": F("epoch") + 1,
        "commanded_at": None,
        "fingerprint": "",
        "live_since": None,
        "tries": again.tries,
        "retry_at": now + timedelta(seconds=again.after_s),
        "interruption": message[:500],
        "moved_at": None,
        **going_on(run),
    }


def _given_up(verdict: GiveUp, message: str) -> str:
    if not verdict.tries:
        return message
    tries = ngettext("given up after one try", "given up after %(n)d tries", verdict.tries) % {"n": verdict.tries}
    return _("%(why)s (%(tries)s)") % {"why": message, "tries": tries}


def going_on(run: Run, elapsed_s: float = 0.0) -> dict[str, Any]:
    """Where another run, or this one elsewhere, goes on (columns of `Run`): the playlist item it was at by its last
    report, or where it began, while that is in the list. `elapsed_s`: so much has been played since the report."""
    report = run.report or {}
    place = resume.place(report, elapsed_s) or resume.Place(run.first_item_id, run.first_position_s)
    there = PlaylistItem.objects.filter(pk=place.item_id or 0, stream_id=run.stream_id).exists()
    return resume.as_columns(place) if there else resume.as_columns(resume.BEGINNING)


@again_on_conflict
def on_air(run: Run, now: datetime) -> bool:
    """LIVE, by the word of the agent that holds it under this epoch."""
    try:
        with transaction.atomic():
            lifecycle.fire(run.stream_id, Event.LIVE, run_id=run.pk, epoch=run.epoch, now=now)
            Run.objects.filter(pk=run.pk).update(live_since=now, interruption="", retry_at=None, moved_at=None)
            Run.objects.filter(pk=run.pk, on_air_at__isnull=True).update(on_air_at=now)
    except WrongState:
        return False
    return True


def lost(silent_since: datetime) -> list[Run]:
    """Runs whose VPS has not been heard of since, the longest silent first; the rest of many next time."""
    rows = Run.objects.holding().filter(
        vps__last_heartbeat_at__lt=silent_since, stream__run=F("pk"), stream__status__in=INTERRUPTIBLE
    )
    return list(rows.select_related("stream", "vps").order_by("vps__last_heartbeat_at", "pk")[:AT_ONCE])


def was_on_air(run_id: uuid.UUID, vps_id: int, report: RunReport, skew: timedelta) -> None:
    """A server that was silent, heard of again: where it had been live at every destination since before, the silence
    was ours alone and nothing was off air. `skew`: how far our clock is ahead of the agent's."""
    states = [each for each in report.destinations if each.state != "disabled"]
    if not states or any(each.state != "live" for each in states):
        return
    live_since = datetime.fromtimestamp(max(each.since for each in states), UTC) + skew
    silent = Transition.objects.filter(run_id=run_id, vps=vps_id, heard_at__gte=live_since)
    silent.update(heard_at=None)


def lost_words(run: Run, seconds: float) -> str:
    words = {"vps": run.vps.name if run.vps else _("the VPS"), "seconds": int(seconds)}
    return _("nothing was heard of «%(vps)s» for %(seconds)d s") % words
