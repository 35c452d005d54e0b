"""The states of a provisioning and its steps: the only writer of their `status`.

A run is one worker's at a time: each taking gives it a new id, and what is written under an older one is not taken.
What the VPS becomes by it is written in the same transaction.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from fleet import lifecycle as vps_lifecycle
from fleet.errors import WrongState
from fleet.models import ProvisionRun, ProvisionStep, RunStatus, StepStatus, Vps
from fleet.provision import telling

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
    place = f"{vps.host.strip('[]').lower()}:{vps.ssh_port}"
    try:
        with transaction.atomic():
            vps_lifecycle.fire(vps.pk, vps_lifecycle.Event.PROVISION)
            return ProvisionRun.objects.create(vps=vps, place=place, actor=actor, requested_at=now, touched_at=now)
    except IntegrityError:
        raise WrongState(_("This server is being provisioned already.")) from None


def resume(run: ProvisionRun, now: datetime) -> None:
    """Raises `WrongState`."""
    try:
        with transaction.atomic():
            fields = {"ended_at": None, "reason": "", "cancel_asked": False, "takings": 0, "worker": None}
            if not _move(Q(pk=run.pk), Event.RESUME, touched_at=now, **fields):
                raise WrongState(_("There is nothing to resume: it is not over, or it went well."))
            vps_lifecycle.fire(run.vps_id, vps_lifecycle.Event.PROVISION)
    except IntegrityError:
        raise WrongState(_("This server is being provisioned already.")) from None
    telling.poke(run.pk)


def ask_to_cancel(run: ProvisionRun, now: datetime) -> None:
    """One that no worker has is over at once; one at work ends what it does. Raises `WrongState`."""
    if not ProvisionRun.objects.filter(pk=run.pk, ended_at__isnull=True).update(cancel_asked=True):
        raise WrongState(_("It is over already."))
    _end(Q(pk=run.pk, worker__isnull=True), run, Event.CANCEL, cancelled_words(), now)
    telling.poke(run.pk)


def cancelled_words() -> str:
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
    return _end(_held(run, worker), run, Event.CANCEL, cancelled_words(), timezone.now())


def _held(run: ProvisionRun, worker: uuid.UUID | None) -> Q:
    return Q(pk=run.pk, worker=worker) if worker else Q(pk=run.pk, ended_at__isnull=True)


def _end(mine: Q, run: ProvisionRun, event: Event, reason: str, now: datetime) -> bool:
    verdict = vps_lifecycle.Event.PROVISIONED if event is Event.FINISH else vps_lifecycle.Event.FAILED
    with transaction.atomic():
        if not _move(mine, event, ended_at=now, worker=None, reason=reason[:500]):
            return False
        _fail_steps(run, now)
        vps_lifecycle.fire(run.vps_id, verdict, reason)
    telling.poke(run.pk)
    return True


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
