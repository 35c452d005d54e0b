"""A stream that is well goes on on another VPS: one that is drained, or overloaded, or because an operator wants it.

A place is taken on the new VPS, the epoch goes up and the old VPS is told to stop, in this order. The new one is
commanded once the old one has said that it has stopped, or after WORD_S: from then on the old one is told again by each
heartbeat. Until then the run holds a slot on both. It costs no try of the restart policy.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import redis
import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from agent.protocol import StreamStatus
from fleet import selection, slots
from fleet.candidates import candidates
from fleet.models import Vps
from kit.actors import after_commit, send_after_commit
from kit.conflicts import again_on_conflict
from streams import commanding, interrupting, lifecycle, tasks
from streams.errors import NotReady, WrongState
from streams.lifecycle import Event
from streams.models import Run, Status
from streams.restart import STABLE_S

log = structlog.get_logger(__name__)
WORD_S: Final = 6.0
"""So long the word of the VPS it leaves is waited for. A playout that is asked to stop needs a second, one that hangs
is sent SIGTERM after 3 s."""


def choice(run: Run, now: datetime) -> selection.Choice:
    """Where it could go, and why there."""
    here = {run.vps_id: "it is there now"} if run.vps_id else {}
    return selection.choose(candidates(now), preferred=run.stream.preferred_vps_id, passed_over=here)


def move(run: Run, why: str, now: datetime, *, actor: User | None = None, to: int | None = None) -> Vps:
    """`run` as it was found, with its stream and VPS. `to`: this VPS and no other. Raises `NotReady` where there is no
    room, `WrongState` when it is not on air any more."""
    chosen = choice(run, now)
    best = chosen.best if to is None else next((row for row in chosen.ranked if row.vps_id == to), None)
    if best is None:
        raise NotReady(_("No other VPS can take it: %(why)s") % {"why": chosen.why_none()})
    return _move(run, best.vps_id, chosen, why, now, actor)


@again_on_conflict
@transaction.atomic
def _move(run: Run, vps_id: int, chosen: selection.Choice, why: str, now: datetime, actor: User | None) -> Vps:
    lifecycle.lock(run.stream_id)
    fresh = Run.objects.select_related("stream", "vps").get(pk=run.pk)
    is_same = (fresh.epoch, fresh.vps_id) == (run.epoch, run.vps_id) and fresh.stream.run_id == run.pk
    if not is_same or fresh.stream.state is not Status.STREAMING or fresh.vps is None:
        raise WrongState(_("The stream is not on air there any more."))
    if not slots.lock_with_room(vps_id, now):
        raise NotReady(_("No other VPS can take it: the one that was chosen just filled up."))
    target = Vps.objects.get(pk=vps_id)
    Run.objects.filter(pk=run.pk).update(**_columns(fresh, target, chosen, why, now))
    words = _("from «%(old)s» to «%(new)s»: %(why)s") % {"old": fresh.vps.name, "new": target.name, "why": why}
    lifecycle.fire(run.stream_id, Event.MOVED, run_id=run.pk, actor=actor, message=words, now=now)
    left = (fresh.vps.pk, run.stream_id, str(run.pk), fresh.epoch)
    after_commit(lambda: _tell_to_stop(*left, now), robust=True)
    log.info("stream.moved", stream=run.stream_id, run=str(run.pk), old=fresh.vps.pk, new=vps_id, why=why)
    return target


def _columns(run: Run, target: Vps, chosen: selection.Choice, why: str, now: datetime) -> dict[str, Any]:
    has_lasted = run.live_since is not None and (now - run.live_since).total_seconds() >= STABLE_S
    elapsed_s = (now - run.reported_at).total_seconds() if run.reported_at else 0.0
    return {
        "vps": target,
        "left_vps": run.vps,
        "choice": chosen.as_json(),
        "epoch": run.epoch + 1,
        "commanded_at": None,
        "fingerprint": "",
        "live_since": None,
        "tries": 0 if has_lasted else run.tries,
        "retry_at": now + timedelta(seconds=WORD_S),
        "moved_at": now,
        "interruption": why[:500],
        **interrupting.going_on(run, max(0.0, elapsed_s)),
    }


def _tell_to_stop(vps_id: int, stream_id: int, run_id: str, epoch: int, now: datetime) -> None:
    try:
        commanding.send_stop(vps_id, stream_id, run_id, epoch, now)
    except redis.RedisError as error:
        log.warning("stream.stop_undelivered", run=run_id, error=type(error).__name__)


@again_on_conflict
@transaction.atomic
def has_left(message: StreamStatus, now: datetime) -> bool:
    """The VPS that it leaves says that it has let go: the next one need not wait any longer."""
    if message.status == "STREAMING" or message.epoch is None:
        return False
    try:
        run_id = uuid.UUID(message.run_id)
    except ValueError:
        return False
    waiting = Run.objects.leaving().filter(pk=run_id, left_vps_id=message.vps_id, epoch__gt=message.epoch)
    if not waiting.update(retry_at=now):
        return False
    send_after_commit(tasks.start_stream, str(run_id), robust=True)
    return True
