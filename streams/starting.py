"""From «wanted on air» to «the agent knows» (STR-4). Called by the actor, and again after any interruption:
each step looks at what is already there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import redis
import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from fleet import selection, slots
from fleet.candidates import candidates
from fleet.models import Vps
from kit.conflicts import again_on_conflict
from kit.safe_url import leads_inside
from streams import commanding, interrupting, lifecycle, progress
from streams.errors import Refused, WrongState
from streams.models import EndReason, LiveInput, Progress, Run, Status, Stream
from streams.restart import Cause

log = structlog.get_logger(__name__)
PAUSES_S: Final = (1.0, 2.0, 4.0)
"""Between tries to deliver a command."""
QUICK_PAUSES_S: Final = (1.0,)
"""The same where viewers wait, and another VPS may take it."""


class CannotStart(Refused):
    """Not as things are; `reason` is how the run ends, if nothing is tried after `cause`."""

    cause = Cause.HOPELESS
    reason = EndReason.FAILED


class NoVps(CannotStart):
    cause = Cause.NOT_PLACED
    reason = EndReason.NO_VPS


class TakesNothing(CannotStart):
    cause = Cause.DEAF


class NobodyToTell(CannotStart):
    cause = Cause.NOT_PLACED


def put_on_air(run_id: uuid.UUID, sleep: Callable[[float], None] = time.sleep) -> None:
    """Chooses a VPS, holds a slot there, delivers START_STREAM. Refused: the stream is ERROR with the words, or waits
    for the next try."""
    run = _starting(run_id)
    if run is None:
        return
    try:
        _begin(run)
        _refuse_private_places(run)
        vps = _hold_slot(run_id)
        if vps is not None:
            _deliver(run, vps, sleep)
    except CannotStart as refusal:
        _refuse(run, refusal)


def give_up(run_id: uuid.UUID) -> None:
    """The last try of the actor raised: a bug or a database away, and nobody will come back to this run."""
    run = _starting(run_id)
    if run is not None and run.commanded_at is None:
        words = _("The start failed inside EZStream. Try again; if it fails again, tell the operator.")
        interrupting.interrupt(run, Cause.STUCK, words, timezone.now(), reason=EndReason.FAILED)


def _starting(run_id: uuid.UUID) -> Run | None:
    """The run, while it is still the current one of a stream that is starting, and not to wait for its next try."""
    wanted = Run.objects.select_related("stream", "vps").filter(pk=run_id, stream__status=Status.STARTING)
    run = wanted.first()
    if run is None or run.stream.run_id != run.pk:
        return None
    return None if run.retry_at is not None and run.retry_at > timezone.now() else run


def _begin(run: Run) -> None:
    Progress.objects.filter(stream_id=run.stream_id).exclude(run_id=run.pk).delete()
    if run.commanded_at is None:
        _say(run, "preparing", 5, _("sending the command"))


def _say(run: Run, stage: str, percent: int, message: str) -> None:
    progress.record(run.stream_id, run.stream.owner_id, run.pk, stage, percent, message)


def _refuse(run: Run, refusal: CannotStart) -> None:
    now = timezone.now()
    if not interrupting.interrupt(run, refusal.cause, refusal.message, now, reason=refusal.reason):
        log.info("stream.start_overtaken", stream=run.stream_id, run=str(run.pk))


def _refuse_private_places(run: Run) -> None:
    """Names are looked up here, where waiting hurts nobody (SEC-2); the agent looks again when it connects."""
    if settings.ALLOW_PRIVATE_DESTINATIONS:
        return
    for name, url in _places(run.stream):
        if leads_inside(urlsplit(url).hostname or ""):
            raise CannotStart(_("«%(name)s» leads inside a private network. Change its address.") % {"name": name})


def _places(stream: Stream) -> Iterator[tuple[str, str]]:
    """Every address of a user's that a VPS will connect to, by its name."""
    for output in stream.outputs.select_related("destination").filter(enabled=True):
        yield output.destination.name, output.destination.url
    for live in LiveInput.objects.filter(playlist_items__stream=stream).distinct():
        yield live.name, live.url()


# ------------------------------------------------------------------------------------------------ the slot


def _hold_slot(run_id: uuid.UUID) -> Vps | None:
    """The VPS whose slot this run holds, chosen now if it holds none. None: the start was overtaken."""
    tried: dict[int, str] = {}
    while True:
        run = _starting(run_id)
        if run is None:
            return None
        if run.vps is not None:
            return run.vps
        now = timezone.now()
        choice = _choose(run, tried, now)
        log.info("stream.vps_choice", stream=run.stream_id, run=str(run_id), choice=choice.explain())
        if choice.best is None:
            raise _nowhere(run, choice)
        if not _take(run, choice, choice.best.vps_id, now):
            tried[choice.best.vps_id] = "just filled up"


def _nowhere(run: Run, choice: selection.Choice) -> CannotStart:
    if is_test(run):
        return CannotStart(_("The VPS it was to test cannot take it: %(why)s.") % {"why": choice.why_none()})
    return NoVps(_("No VPS is free: %(why)s") % {"why": choice.why_none()})


def is_test(run: Run) -> bool:
    return run.tested_vps_id is not None and run.epoch == 1


def _choose(run: Run, tried: dict[int, str], now: datetime) -> selection.Choice:
    """Where it was interrupted last comes last, if it is heard of at all."""
    fleet, preferred = candidates(now), run.stream.preferred_vps_id
    if is_test(run):
        return selection.choose_only(fleet, run.tested_vps_id or 0, tried)
    left = {run.left_vps_id: "it was interrupted there"} if run.left_vps_id else {}
    elsewhere = selection.choose(fleet, preferred=preferred, passed_over=left | tried)
    return elsewhere if elsewhere.best else selection.choose(fleet, preferred=preferred, passed_over=tried)


@again_on_conflict
def _take(run: Run, choice: selection.Choice, vps_id: int, now: datetime) -> bool:
    """Under locks of the stream, then the VPS: counted and taken in one breath. False when it just filled up."""
    with transaction.atomic():
        lifecycle.lock(run.stream_id)
        stream = Stream.objects.get(pk=run.stream_id)
        if stream.state is not Status.STARTING or stream.run_id != run.pk:
            return True
        if not slots.lock_with_room(vps_id, now):
            return False
        unplaced = Run.objects.filter(pk=run.pk, vps__isnull=True, epoch=run.epoch)
        unplaced.update(vps_id=vps_id, choice=choice.as_json())
    return True


# ------------------------------------------------------------------------------------------------ the command


def _deliver(run: Run, vps: Vps, sleep: Callable[[float], None]) -> None:
    for pause in (*(QUICK_PAUSES_S if run.tries else PAUSES_S), None):
        as_now = _starting(run.pk)
        if as_now is None or (as_now.vps_id, as_now.epoch) != (vps.pk, run.epoch):
            return
        refusal = _send(as_now, vps)
        if refusal is None:
            return
        if pause is None:
            raise refusal
        sleep(pause)


def _send(run: Run, vps: Vps) -> CannotStart | None:
    try:
        delivered = commanding.send_start(run, timezone.now())
    except WrongState:
        return None
    except redis.RedisError as error:
        log.warning("stream.start_undelivered", run=str(run.pk), error=type(error).__name__)
        return NobodyToTell(_("The servers cannot be reached at this moment. Try again in a minute."))
    if not delivered:
        return TakesNothing(_("«%(vps)s» does not take commands. Try again in a minute.") % {"vps": vps.name})
    newest = Progress.objects.filter(run_id=run.pk).first()
    if newest is None or newest.percent <= 5:
        _say(run, "command_sent", 10, _("command sent, waiting for the agent"))
    return None
