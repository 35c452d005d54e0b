"""What operators do to a VPS: the verbs, each written into the audit log."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import User
from fleet import checkups
from fleet.checkups import Checkup
from fleet.errors import Refused
from fleet.models import Vps, VpsStatus


def set_status(vps: Vps, status: VpsStatus, actor: User | None, request: HttpRequest | None = None) -> bool:
    """False, and nothing is written down: it was so already."""
    changed = Vps.objects.filter(pk=vps.pk).exclude(status=status).update(status=status) > 0
    if changed:
        audit.record(actor, f"set {status.value.lower()}", vps, request)
    return changed


def check(vps: Vps, actor: User | None, now: datetime) -> Checkup:
    """The health check, now instead of at its turn."""
    (found,) = checkups.check([vps], now)
    audit.record(actor, "check health", vps, found=found.reason)
    return found


@transaction.atomic
def remove(vps: Vps, actor: User | None, request: HttpRequest | None = None) -> None:
    """Out of the fleet, with its secrets; runs it carried still name it. Raises Refused while some are on it."""
    Vps.objects.select_for_update().get(pk=vps.pk)
    held = vps.runs.holding().count()
    if held:
        words = ngettext(
            "«%(vps)s» carries %(n)d stream. Drain it, and remove it when that is over.",
            "«%(vps)s» carries %(n)d streams. Drain it, and remove it when they are over.",
            held,
        )
        raise Refused(words % {"vps": vps.name, "n": held})
    audit.record(actor, "delete", vps, request)
    if not vps.runs.exists():
        vps.delete()
        return
    secrets = {"sealed_password": "", "sealed_private_key": "", "host_key": ""}
    Vps.objects.filter(pk=vps.pk).update(removed_at=timezone.now(), status=VpsStatus.INACTIVE, **secrets)
