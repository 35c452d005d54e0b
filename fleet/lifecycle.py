"""The states of a VPS as a table. Nothing else changes the `status` of one that is there.

An upgrade of the agent is no state: streams stay on air through it, and for the two seconds in which no agent is there
the old one has said itself that it takes nothing new (`Vps.accepting`). So an active VPS stays active, a draining one
goes on draining; only when no agent is heard after it has the VPS failed (`BROKEN`). A decommissioning is one: the VPS
is PROVISIONING, which keeps every stream and every other verb off it, and leaves the fleet by it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from django.db.models import DateTimeField, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from fleet.errors import WrongState
from fleet.models import Vps, VpsStatus


class Event(StrEnum):
    PROVISION = "provision"
    """It is being made ready: no new streams; those on it stay."""
    PROVISIONED = "provisioned"
    FAILED = "failed"
    STILL_ACTIVE = "still active"
    STILL_DRAINING = "still draining"
    STILL_OFF = "still switched off"
    """A provisioning that leaves it what it was before (`fleet.provision.lifecycle`)."""
    DECOMMISSIONED = "decommissioned"
    """Nothing of ours is there any more."""
    BROKEN = "broken"
    """An upgrade failed, and its agent is not heard since, neither the new one nor the old."""
    ACTIVATE = "activate"
    DRAIN = "drain"
    """No new streams; those on it play to their end."""
    EVACUATE = "evacuate"
    """No new streams; those on it are moved to others, one after another (`streams.evacuating`)."""
    SWITCH_OFF = "switch off"
    REMOVE = "remove"
    """Out of the fleet (`fleet.actions.remove`)."""


ACTIVE, INACTIVE, PROVISIONING, DRAINING, ERROR = VpsStatus
TRANSITIONS: Final[dict[tuple[VpsStatus, Event], VpsStatus]] = {
    (INACTIVE, Event.PROVISION): PROVISIONING,
    (ERROR, Event.PROVISION): PROVISIONING,
    (ACTIVE, Event.PROVISION): PROVISIONING,
    (DRAINING, Event.PROVISION): PROVISIONING,
    (PROVISIONING, Event.PROVISIONED): ACTIVE,
    (PROVISIONING, Event.FAILED): ERROR,
    (PROVISIONING, Event.STILL_ACTIVE): ACTIVE,
    (PROVISIONING, Event.STILL_DRAINING): DRAINING,
    (PROVISIONING, Event.STILL_OFF): INACTIVE,
    (PROVISIONING, Event.DECOMMISSIONED): INACTIVE,
    (ACTIVE, Event.BROKEN): ERROR,
    (DRAINING, Event.BROKEN): ERROR,
    (INACTIVE, Event.BROKEN): ERROR,
    (INACTIVE, Event.ACTIVATE): ACTIVE,
    (ERROR, Event.ACTIVATE): ACTIVE,
    (DRAINING, Event.ACTIVATE): ACTIVE,
    (INACTIVE, Event.DRAIN): DRAINING,
    (ERROR, Event.DRAIN): DRAINING,
    (ACTIVE, Event.DRAIN): DRAINING,
    (DRAINING, Event.DRAIN): DRAINING,
    (INACTIVE, Event.EVACUATE): DRAINING,
    (ERROR, Event.EVACUATE): DRAINING,
    (ACTIVE, Event.EVACUATE): DRAINING,
    (DRAINING, Event.EVACUATE): DRAINING,
    (ERROR, Event.SWITCH_OFF): INACTIVE,
    (ACTIVE, Event.SWITCH_OFF): INACTIVE,
    (DRAINING, Event.SWITCH_OFF): INACTIVE,
    (INACTIVE, Event.REMOVE): INACTIVE,
    (ERROR, Event.REMOVE): INACTIVE,
    (ACTIVE, Event.REMOVE): INACTIVE,
    (DRAINING, Event.REMOVE): INACTIVE,
}


def fire(vps_id: int, event: Event, message: str = "") -> VpsStatus:
    """One conditional UPDATE; gives the new state. Raises `WrongState` and has changed nothing. `message`: what stands
    beside the status from now on."""
    row = Vps.objects.filter(pk=vps_id).values_list("status", flat=True).first()
    if row is None:
        raise WrongState(_("The VPS is not there any more."))
    old = VpsStatus(row)
    new = TRANSITIONS.get((old, event))
    if new is None:
        raise WrongState(_("This cannot be done while the VPS is «%(state)s».") % {"state": old.label})
    columns = {"status": new, "status_message": message[:500], **_draining(new, event)}
    if not Vps.objects.filter(pk=vps_id, status=old).update(**columns):
        raise WrongState(_("Somebody else just changed this VPS. Look again, then try again."))
    return new


def _draining(new: VpsStatus, event: Event) -> dict[str, Any]:
    """Since when it drains stays when only the way is changed, and through a provisioning."""
    if new is PROVISIONING:
        return {}
    if new is not DRAINING:
        return {"draining_since": None, "drain_moves": False}
    since = Coalesce("draining_since", Value(timezone.now(), DateTimeField()))
    if event is Event.STILL_DRAINING:
        return {"draining_since": since}
    return {"draining_since": since, "drain_moves": event is Event.EVACUATE}
