"""The fleet's verbs: what operators do to a server, by whatever road.

What is queued while Redis is away is not lost: `take_up_lost` finds it.
"""

from __future__ import annotations

from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import User
from fleet import checkups, looking, redis_users, tasks
from fleet.checkups import Checkup
from fleet.errors import Refused, WrongState
from fleet.lifecycle import Event
from fleet.lifecycle import fire as fire_vps
from fleet.models import ProvisionRun, RunStatus, Vps, VpsStatus
from fleet.provision import keys, lifecycle, probing, restarting
from fleet.provision.errors import SshError
from fleet.provision.lifecycle import MOST_TAKINGS, STALE
from kit.actors import send_after_commit
from kit.conflicts import again_on_conflict
from kit.crypto import CannotOpenError

log = structlog.get_logger(__name__)


def provision(vps: Vps, actor: User | None) -> ProvisionRun:
    """Queues it. Raises `WrongState`."""
    if not (vps.sealed_password or vps.sealed_private_key):
        raise WrongState(_("Give it a password or a private key first."))
    if not vps.host_key and not settings.SSH_TRUST_FIRST_USE:
        raise WrongState(_("Its host key is not confirmed yet: test the connection, and confirm it."))
    with transaction.atomic():
        run = lifecycle.begin(vps, actor, timezone.now())
        audit.record(actor, "provision", vps, run=run.pk)
        send_after_commit(tasks.provision, run.pk, robust=True)
    return run


def resume(run: ProvisionRun, actor: User | None) -> None:
    """Goes on with the first step that is not done. Raises `WrongState`."""
    with transaction.atomic():
        lifecycle.resume(run, timezone.now())
        audit.record(actor, "resume provisioning", run.vps, run=run.pk)
        send_after_commit(tasks.provision, run.pk, robust=True)


def cancel(run: ProvisionRun, actor: User | None) -> None:
    """Ends it after what cannot be stopped. Raises `WrongState`."""
    with transaction.atomic():
        lifecycle.ask_to_cancel(run, timezone.now())
        audit.record(actor, "cancel provisioning", run.vps, run=run.pk)


def test_connection(vps: Vps, actor: User | None) -> probing.Probe:
    """Within ten seconds, whatever is wrong."""
    found = probing.probe(vps)
    audit.record(actor, "test connection", vps, answer=found.kind)
    return found


def confirm_host_key(vps: Vps, host_key: str, actor: User | None) -> None:
    """Pins what an operator was shown. Raises `WrongState` when another one is pinned by now."""
    try:
        shown = keys.fingerprint(keys.written(keys.read_host_key(host_key)))
    except ValueError:
        raise WrongState(_("This is no host key.")) from None
    if not Vps.objects.filter(pk=vps.pk, host_key="").update(host_key=host_key):
        raise WrongState(_("A host key is pinned already. Forget it first, if it was installed anew."))
    audit.record(actor, "confirm host key", vps, fingerprint=shown)


def forget_host_key(vps: Vps, actor: User | None) -> None:
    audit.record(actor, "forget host key", vps, fingerprint=keys.fingerprint(vps.host_key))
    Vps.objects.filter(pk=vps.pk).update(host_key="")


def set_state(vps: Vps, event: Event, actor: User | None, request: HttpRequest | None = None) -> VpsStatus:
    """Takes streams, drains, switches off. Gives the new state; raises `WrongState`."""
    new = fire_vps(vps.pk, event)
    how = {"moves": event is Event.EVACUATE} if new is VpsStatus.DRAINING else {}
    audit.record(actor, f"set {new.value.lower()}", vps, request, **how)
    return new


def check(vps: Vps, actor: User | None, now: datetime) -> Checkup:
    """The health check, from outside too, now instead of at its turn. Within `looking.WHOLE_S`."""
    looking.look_at([vps])
    (found,) = checkups.check([vps], now)
    audit.record(actor, "check health", vps, found=found.reason)
    return found


def check_all(now: datetime) -> str:
    """For the scheduler: every VPS by what is known of it, at once; those with a login are looked at from outside soon
    after, and judged anew."""
    wanted = looking.due(now)
    for first in range(0, len(wanted), looking.LOT):
        send_after_commit(tasks.look_outside, *wanted[first : first + looking.LOT], robust=True)
    return checkups.check_all(now)


def restart_agent(vps: Vps, actor: User | None) -> None:
    """Streams stay on air. Within half a minute; raises Refused."""
    if vps.state is VpsStatus.PROVISIONING:
        raise WrongState(_("It is being provisioned: that restarts its agent when it has to."))
    try:
        restarting.restart_agent(vps)
    except (SshError, CannotOpenError) as error:
        raise Refused(str(error)) from error
    audit.record(actor, "restart agent", vps)


@again_on_conflict
@transaction.atomic
def remove(vps: Vps, actor: User | None, request: HttpRequest | None = None) -> None:
    """Out of the fleet and out of Redis, with its secrets; runs it carried still name it. Raises Refused while streams
    are on it, or on their way from it, and while it is being provisioned."""
    Vps.objects.select_for_update().get(pk=vps.pk)
    held: int = Vps.objects.with_current_streams().get(pk=vps.pk).current_streams  # type: ignore[attr-defined]
    if held:
        words = ngettext(
            "«%(vps)s» carries %(n)d stream. Drain it, and remove it when that is over.",
            "«%(vps)s» carries %(n)d streams. Drain it, and remove it when they are over.",
            held,
        )
        raise Refused(words % {"vps": vps.name, "n": held})
    fire_vps(vps.pk, Event.REMOVE)
    audit.record(actor, "delete", vps, request)
    if vps.runs.exists():
        redis_users.cut_off(vps, actor, robust=True)
        secrets = {"sealed_password": "", "sealed_private_key": "", "host_key": ""}
        Vps.objects.filter(pk=vps.pk).update(removed_at=timezone.now(), **secrets)
        return
    vps_id = vps.pk
    vps.delete()
    redis_users.forget(vps_id)


def take_up_lost(now: datetime) -> str:
    """For the scheduler: runs whose worker is gone, or that nobody took, are queued again; not for ever."""
    lost = ProvisionRun.objects.filter(ended_at__isnull=True, touched_at__lt=now - STALE).select_related("vps")
    taken = sum(_take_up(run, now) for run in lost)
    return ngettext("%(n)d provisioning taken up again", "%(n)d provisionings taken up again", taken) % {"n": taken}


def _take_up(run: ProvisionRun, now: datetime) -> bool:
    if run.cancel_asked:
        lifecycle.cancel(run, None)
        return False
    if run.takings >= MOST_TAKINGS:
        lifecycle.fail(run, None, _("Its worker was lost again and again. Look at the log, then resume."))
        return False
    log.warning("provision.taken_up_again", provisioning=run.pk, vps=run.vps_id, takings=run.takings)
    if run.state is RunStatus.QUEUED:  # so that it is not queued each minute while it waits in a long queue
        ProvisionRun.objects.filter(pk=run.pk, worker__isnull=True).update(touched_at=now)
    send_after_commit(tasks.provision, run.pk, robust=True)
    return True
