"""Upgrades of several servers, one after another (AGT-7): the only writer of a rollout's `status`.

    RUNNING ─ every server has had its turn: DONE
       ├──── one of them failed: FAILED, the rest is left as it is
       └──── cancelled: the one in hand comes to its end

Nobody holds it: `go_on` looks at what there is and begins what is due. Whoever ends a run calls it, and so does the
scheduler each minute; that any of them calls it twice, or dies before, does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from fleet.checkups import IN_SERVICE
from fleet.errors import WrongState
from fleet.models import ProvisionRun, Rollout, RolloutStatus, RunStatus, Vps
from fleet.provision import lifecycle
from kit.conflicts import again_on_conflict


@dataclass(frozen=True, slots=True)
class Outdated:
    """Servers in service whose agent is another one."""

    due: list[Vps]
    unreachable: list[Vps]
    """We know no password and no key of them, or not their host key."""


def wanted(version: str) -> Outdated:
    others = list(outdated(version).order_by("name"))
    due = [vps for vps in others if may_sign_in(vps)]
    return Outdated(due, [vps for vps in others if vps not in due])


def outdated(version: str) -> QuerySet[Vps]:
    """One on this machine runs from the source."""
    return Vps.objects.filter(status__in=IN_SERVICE, is_local=False).exclude(agent_version=version)


def may_sign_in(vps: Vps) -> bool:
    is_known = bool(vps.host_key or settings.SSH_TRUST_FIRST_USE)
    return is_known and bool(vps.sealed_password or vps.sealed_private_key)


def begin(vpses: Sequence[Vps], actor: User | None, now: datetime, version: str) -> Rollout:
    """RUNNING; `go_on` begins with the first. Raises `WrongState`."""
    if not vpses:
        raise WrongState(_("There is no server to upgrade."))
    try:
        with transaction.atomic():
            rollout = Rollout.objects.create(version=version, actor=actor, requested_at=now)
            rollout.vpses.set(vpses)
    except IntegrityError:
        raise WrongState(_("Servers are being upgraded already. Wait for the end, or cancel it.")) from None
    return rollout


def cancel(rollout: Rollout, now: datetime) -> None:
    """Raises `WrongState`."""
    if not _end(rollout, RolloutStatus.CANCELLED, _("Cancelled."), now):
        raise WrongState(_("It is over already."))


@again_on_conflict
@transaction.atomic
def go_on(now: datetime) -> list[int]:
    """The run to be queued, when one was begun."""
    rollout = Rollout.objects.select_for_update().filter(status=RolloutStatus.RUNNING).first()
    if rollout is None or rollout.runs.filter(ended_at__isnull=True).exists():
        return []
    ill = rollout.runs.exclude(status=RunStatus.DONE).select_related("vps").first()
    if ill is not None:
        ended = RolloutStatus.CANCELLED if ill.state is RunStatus.CANCELLED else RolloutStatus.FAILED
        _end(rollout, ended, f"«{ill.vps.name}»: {ill.reason}", now)
        return []
    run = _begin_next(rollout, now)
    if run is None:
        _end(rollout, RolloutStatus.DONE, _left_out(rollout), now)
        return []
    return [run.pk]


def waiting(rollout: Rollout) -> list[Vps]:
    """Those that have not had their turn, in their order."""
    return list(rollout.vpses.exclude(provisions__rollout=rollout).order_by("name"))


def _begin_next(rollout: Rollout, now: datetime) -> ProvisionRun | None:
    """Of those that are in service still; one at which somebody else is at work has its turn later, or none."""
    for vps in waiting(rollout):
        if vps.state not in IN_SERVICE:
            continue
        try:
            run = lifecycle.begin_upgrade(vps, rollout.actor, now, rollout.version, rollout)
        except WrongState:
            continue
        audit.record(rollout.actor, "upgrade agent", vps, run=run.pk, to=rollout.version, rollout=rollout.pk)
        return run
    return None


def _left_out(rollout: Rollout) -> str:
    names = ", ".join(f"«{vps.name}»" for vps in waiting(rollout))
    return (
        _("Left out, for they were not in service or at work otherwise: %(names)s.") % {"names": names} if names else ""
    )


def _end(rollout: Rollout, status: RolloutStatus, reason: str, now: datetime) -> bool:
    running = Rollout.objects.filter(pk=rollout.pk, status=RolloutStatus.RUNNING)
    return running.update(status=status, ended_at=now, reason=reason[:500]) == 1
