"""The states of a provisioning, an upgrade or a decommissioning and its steps: the only writer of their `status`.

A run is one worker's at a time: each taking gives it a new id, and what is written under an older one is not taken.
What the VPS becomes by it is written in the same transaction (`fleet.lifecycle` says what an upgrade makes of it).
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from fleet import lifecycle as vps_lifecycle
from fleet import removing
from fleet.errors import WrongState
from fleet.models import ProvisionRun, ProvisionStep, Rollout, RunKind, RunStatus, StepStatus, Vps, VpsStatus
from fleet.provision import telling, upgrading
from fleet.provision.steps import FROM_SETTINGS

STALE: Final = timedelta(seconds=120)
"""Without a sign of life a worker is gone: longer than connecting may take, during which it gives none."""
MOST_TAKINGS: Final = 4
"""One that workers die of is not taken up for ever."""


class Event(StrEnum):
    TAKE = "take"
    HAND_BACK = "hand back"
    """The worker ends; the next one goes on."""
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    RESUME = "resume"


UPGRADED_IN: Final = (VpsStatus.ACTIVE, VpsStatus.DRAINING, VpsStatus.INACTIVE)
"""Where the rest of the server is known to be well: an agent alone would not mend the others."""

QUEUED, RUNNING, DONE, FAILED, CANCELLED = RunStatus
TRANSITIONS: Final[dict[tuple[RunStatus, Event], RunStatus]] = {
    (QUEUED, Event.TAKE): RUNNING,
    (RUNNING, Event.TAKE): RUNNING,
    (RUNNING, Event.HAND_BACK): QUEUED,
    (RUNNING, Event.FINISH): DONE,
    (RUNNING, Event.FAIL): FAILED,
    (QUEUED, Event.FAIL): FAILED,
    (RUNNING, Event.CANCEL): CANCELLED,
    (QUEUED, Event.CANCEL): CANCELLED,
    (FAILED, Event.RESUME): QUEUED,
    (CANCELLED, Event.RESUME): QUEUED,
}


def _from(event: Event) -> list[RunStatus]:
    return [old for old, known in TRANSITIONS if known is event]


def _to(event: Event) -> RunStatus:
    return next(new for (_old, known), new in TRANSITIONS.items() if known is event)


def _move(rows: Q, event: Event, **fields: Any) -> bool:
    found = ProvisionRun.objects.filter(rows, status__in=_from(event))
    return found.update(status=_to(event), **fields) == 1


# ------------------------------------------------------------------------------------------------ what people ask


def begin(vps: Vps, actor: User | None, now: datetime) -> ProvisionRun:
    """A new run, QUEUED, and the VPS PROVISIONING. Raises `WrongState`."""
    with transaction.atomic():
        row = Vps.objects.select_for_update().filter(pk=vps.pk).first()
        vps_lifecycle.fire(vps.pk, vps_lifecycle.Event.PROVISION)
        return _create(row or vps, actor, now)


def begin_upgrade(
    vps: Vps, actor: User | None, now: datetime, version: str, rollout: Rollout | None = None
) -> ProvisionRun:
    """The VPS stays as it is. `version`: what its agent is to call itself. Raises `WrongState`."""
    with transaction.atomic():
        row = Vps.objects.select_for_update().filter(pk=vps.pk).first()
        if row is None or row.state not in UPGRADED_IN:
            words = _("This cannot be done while the VPS is «%(state)s»: provision it.")
            raise WrongState(words % {"state": row.state.label if row else "–"})
        return _create(row, actor, now, kind=RunKind.UPGRADE, rollout=rollout, to_version=version)


def begin_decommission(vps: Vps, actor: User | None, now: datetime) -> ProvisionRun:
    """No stream gets there from now on. Raises `Refused`."""
    with transaction.atomic():
        vps = removing.lock_idle(vps)
        vps_lifecycle.fire(vps.pk, vps_lifecycle.Event.PROVISION, _("It is being decommissioned."))
        return _create(vps, actor, now, kind=RunKind.DECOMMISSION)


def _create(vps: Vps, actor: User | None, now: datetime, **fields: Any) -> ProvisionRun:
    """`vps` as it was read before anything was changed."""
    fields |= {"place": f"{vps.host.strip('[]').lower()}:{vps.ssh_port}", "vps_was": vps.status}
    try:
        with transaction.atomic():
            return ProvisionRun.objects.create(
                vps=vps, actor=actor, requested_at=now, touched_at=now, from_version=vps.agent_version, **fields
            )
    except IntegrityError:
        raise WrongState(_at_work()) from None


def _at_work() -> str:
    return _("Another run is at work on this server already.")


def resume(run: ProvisionRun, now: datetime) -> None:
    """A provisioning, from the first step that is not done; and what follows from the settings once more, for what it
    failed by is often mended there. Raises `WrongState`."""
    try:
        with transaction.atomic():
            fields = {"ended_at": None, "reason": "", "cancel_asked": False, "takings": 0, "worker": None}
            if not _move(Q(pk=run.pk, kind=RunKind.PROVISION), Event.RESUME, touched_at=now, **fields):
                raise WrongState(_("There is nothing to resume: it is not over, or it went well."))
            _redo_from_settings(run)
            vps_lifecycle.fire(run.vps_id, vps_lifecycle.Event.PROVISION)
    except IntegrityError:
        raise WrongState(_at_work()) from None
    telling.poke(run.pk)


def _redo_from_settings(run: ProvisionRun) -> None:
    first = run.steps.filter(name=FROM_SETTINGS).first()
    if first is not None:
        run.steps.filter(position__gte=first.position).update(status=StepStatus.WAITING)


def ask_to_cancel(run: ProvisionRun, now: datetime) -> None:
    """One that no worker has is over at once; one at work ends what it does. Raises `WrongState`."""
    if not ProvisionRun.objects.filter(pk=run.pk, ended_at__isnull=True).update(cancel_asked=True):
        raise WrongState(_("It is over already."))
    _end(Q(pk=run.pk, worker__isnull=True), run, Event.CANCEL, cancelled_words(run), now)
    telling.poke(run.pk)


def cancelled_words(run: ProvisionRun) -> str:
    match run.what:
        case RunKind.UPGRADE:
            return _("Cancelled. The agent before runs on.")
        case RunKind.DECOMMISSION:
            return _("Cancelled. What was taken away stays away. Decommission it again, provision it, or remove it.")
        case _:
            return _("Cancelled. What was done stays; Resume goes on with the rest.")


# ------------------------------------------------------------------------------------------------ what workers do


def take(run_id: int, now: datetime) -> uuid.UUID | None:
    """The id to write under; None when it is over or somebody else's."""
    worker = uuid.uuid4()
    free = Q(worker__isnull=True) | Q(touched_at__lt=now - STALE)
    fields = {"worker": worker, "touched_at": now, "takings": F("takings") + 1}
    if not _move(Q(free, pk=run_id), Event.TAKE, **fields):
        return None
    ProvisionRun.objects.filter(pk=run_id, started_at__isnull=True).update(started_at=now)
    telling.poke(run_id)
    return worker


def touch(run_id: int, worker: uuid.UUID, now: datetime) -> bool | None:
    """A sign of life. True: somebody wants it cancelled. None: it is no longer this worker's."""
    mine = ProvisionRun.objects.filter(pk=run_id, worker=worker)
    if not mine.update(touched_at=now):
        return None
    return mine.values_list("cancel_asked", flat=True).first()


def hand_back(run_id: int, worker: uuid.UUID) -> bool:
    return _move(Q(pk=run_id, worker=worker), Event.HAND_BACK, worker=None)


def finish(run: ProvisionRun, worker: uuid.UUID) -> bool:
    return _end(Q(pk=run.pk, worker=worker), run, Event.FINISH, "", timezone.now())


def fail(run: ProvisionRun, worker: uuid.UUID | None, reason: str) -> bool:
    """`worker` None: of one that nobody has any more."""
    return _end(_held(run, worker), run, Event.FAIL, reason, timezone.now())


def cancel(run: ProvisionRun, worker: uuid.UUID | None) -> bool:
    """`worker` as in `fail`."""
    return _end(_held(run, worker), run, Event.CANCEL, cancelled_words(run), timezone.now())


def _held(run: ProvisionRun, worker: uuid.UUID | None) -> Q:
    return Q(pk=run.pk, worker=worker) if worker else Q(pk=run.pk, ended_at__isnull=True)


def _end(mine: Q, run: ProvisionRun, event: Event, reason: str, now: datetime) -> bool:
    with transaction.atomic():
        if not _move(mine, event, ended_at=now, worker=None, reason=reason[:500]):
            return False
        _settle_vps(run, event, reason, now)
        _fail_steps(run, now)
    telling.poke(run.pk)
    return True


def _settle_vps(run: ProvisionRun, event: Event, reason: str, now: datetime) -> None:
    if run.what is RunKind.UPGRADE:
        if event is not Event.FINISH and _is_broken(run, now):
            vps_lifecycle.fire(run.vps_id, vps_lifecycle.Event.BROKEN, reason)
        return
    if event is not Event.FINISH:
        still = _STILL.get(VpsStatus(run.vps_was)) if _did_nothing(run) else None
        vps_lifecycle.fire(run.vps_id, still or vps_lifecycle.Event.FAILED, reason)
    elif run.what is RunKind.PROVISION:
        vps_lifecycle.fire(run.vps_id, _ready(run))
    else:
        vps_lifecycle.fire(run.vps_id, vps_lifecycle.Event.DECOMMISSIONED)
        removing.take_out(run.vps, run.actor)


_STILL: Final = {
    VpsStatus.ACTIVE: vps_lifecycle.Event.STILL_ACTIVE,
    VpsStatus.DRAINING: vps_lifecycle.Event.STILL_DRAINING,
}


def _did_nothing(run: ProvisionRun) -> bool:
    """A provisioning that came no further than to its first step, which only looks: the server is as it was."""
    later = run.steps.filter(position__gt=0).exclude(status=StepStatus.WAITING)
    return run.what is RunKind.PROVISION and not later.exists()


def _ready(run: ProvisionRun) -> vps_lifecycle.Event:
    """What operators have taken out of service stays out of it; one that was never heard is new."""
    match VpsStatus(run.vps_was):
        case VpsStatus.DRAINING:
            return vps_lifecycle.Event.STILL_DRAINING
        case VpsStatus.INACTIVE if run.from_version:
            return vps_lifecycle.Event.STILL_OFF
        case _:
            return vps_lifecycle.Event.PROVISIONED


def _is_broken(run: ProvisionRun, now: datetime) -> bool:
    """The agent was begun anew, there or back, and is not heard since."""
    begun = run.steps.filter(name__in=[upgrading.SERVICE, upgrading.BACK]).exclude(status=StepStatus.WAITING)
    ended = [step.ended_at or now - settings.HEARTBEAT_FRESH for step in begun]
    if not ended:
        return False
    since = max(*ended, now - settings.HEARTBEAT_FRESH)
    in_service = Vps.objects.filter(pk=run.vps_id, status__in=UPGRADED_IN)
    return in_service.exclude(last_heartbeat_at__gte=since).exists()


def _fail_steps(run: ProvisionRun, now: datetime) -> None:
    run.steps.filter(status=StepStatus.RUNNING).update(status=StepStatus.FAILED, ended_at=now)


# ------------------------------------------------------------------------------------------------ steps


def lay_out(run: ProvisionRun, steps: list[tuple[str, str]]) -> None:
    """A row for each step, by name and title; those that are there already keep what they say."""
    there = set(run.steps.values_list("name", flat=True))
    for position, (name, title) in enumerate(steps):
        if name not in there:
            ProvisionStep.objects.create(run=run, name=name, title=title[:120], position=position)
        else:
            run.steps.filter(name=name).update(position=position, title=title[:120])
    run.steps.exclude(name__in=[name for name, _title in steps]).delete()


def add_step(run: ProvisionRun, name: str, title: str) -> ProvisionStep:
    """After all others; the same when it is there already."""
    fields = {"title": title[:120], "position": run.steps.count()}
    return ProvisionStep.objects.get_or_create(run=run, name=name, defaults=fields)[0]


def begin_step(step: ProvisionStep, worker: uuid.UUID, now: datetime) -> None:
    fresh = {"started_at": now, "ended_at": None, "command": "", "output": "", "note": "", "remedy": ""}
    _write(step, worker, status=StepStatus.RUNNING, **fresh)


def end_step(step: ProvisionStep, worker: uuid.UUID, status: StepStatus, **fields: str) -> None:
    kept = {name: text[:500] for name, text in fields.items()}
    _write(step, worker, status=status, ended_at=timezone.now(), **kept)


def write_output(step: ProvisionStep, worker: uuid.UUID, command: str, output: str) -> None:
    _write(step, worker, command=command, output=output)


def _write(step: ProvisionStep, worker: uuid.UUID, **fields: Any) -> None:
    ProvisionStep.objects.filter(pk=step.pk, run__worker=worker).update(**fields)
    telling.poke(step.run_id)
