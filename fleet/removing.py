"""A VPS taken out of the fleet: what must be over first, and what stays of it."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import User
from fleet import redis_users
from fleet.errors import Refused, WrongState
from fleet.models import RunKind, Vps, VpsStatus


def lock_idle(vps: Vps) -> Vps:
    """Locks it until the commit, and gives it as it is. Raises Refused while streams are on it or on their way from it,
    and WrongState while a run is at work on it."""
    row = Vps.objects.select_for_update().get(pk=vps.pk)
    refuse_at_work(row)
    held: int = Vps.objects.with_current_streams().get(pk=vps.pk).current_streams  # type: ignore[attr-defined]
    if held:
        words = ngettext(
            "«%(vps)s» carries %(n)d stream. Drain it, and remove it when that is over.",
            "«%(vps)s» carries %(n)d streams. Drain it, and remove it when they are over.",
            held,
        )
        raise Refused(words % {"vps": vps.name, "n": held})
    return row


def refuse_at_work(vps: Vps) -> None:
    """Raises WrongState while a provisioning, upgrade or decommissioning of it is not over."""
    run = vps.provisions.filter(ended_at__isnull=True).first()
    if run is not None:
        words = _("A run is at work on this server (%(what)s). Wait for its end, or cancel it.")
        raise WrongState(words % {"what": run.what.label})
    if vps.state is VpsStatus.PROVISIONING:
        raise WrongState(_("This cannot be done while the VPS is «%(state)s».") % {"state": vps.state.label})


def take_out(vps: Vps, actor: User | None) -> None:
    """Its name is free, its secrets are gone, its agent is out of Redis. What names it in the history still does."""
    if vps.runs.exists() or vps.provisions.filter(kind=RunKind.DECOMMISSION).exists():
        redis_users.cut_off(vps, actor, robust=True)
        secrets = {"sealed_password": "", "sealed_private_key": "", "host_key": ""}
        Vps.objects.filter(pk=vps.pk).update(removed_at=timezone.now(), **secrets)
        return
    vps_id = vps.pk
    vps.delete()
    redis_users.forget(vps_id)
