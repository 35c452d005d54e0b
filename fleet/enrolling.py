"""A server that adds itself (EDGE-10): one command, a token that is good once, and what may happen on the way.

    made ─ claimed ─ heard: done
       │         └─ failed on the server, or silent for too long
       └─ revoked, expired

Each arrow is one conditional UPDATE. The token names the server until it is heard; nothing else is asked of it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import redis
import structlog
from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from fleet import lifecycle, redis_users
from fleet.errors import WrongState
from fleet.lifecycle import Event
from fleet.models import Enrolment, EnrolmentState, Vps, VpsStatus

log = structlog.get_logger(__name__)
GOOD_FOR: Final = timedelta(hours=1)
SILENT_FOR: Final = timedelta(minutes=15)
"""From registering to the first heartbeat: longer is no slow server, it is none."""
_OPEN: Final = {"revoked_at": None, "ended_at": None}


class BadToken(Exception):
    """Not good, or not any more; the text says why, for who pasted the command."""


class TryAgain(Exception):
    """Nothing was changed, and the token is still good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the server is to be in the fleet. Without a name it has its own."""

    name: str = ""
    region: str = ""
    max_streams: int = 4


@dataclass(frozen=True, slots=True)
class Made:
    enrolment: Enrolment
    token: str = field(repr=False)
    """Shown once, kept nowhere."""


# ------------------------------------------------------------------------------------------------ operators


def make(wanted: Wanted, actor: User | None, now: datetime) -> Made:
    token = secrets.token_urlsafe(32)
    row = Enrolment.objects.create(
        token_digest=_digest(token), name=wanted.name, region=wanted.region, max_streams=wanted.max_streams,
        actor=actor, created_at=now, expires_at=now + GOOD_FOR,
    )  # fmt: skip
    audit.record(actor, "make enrolment", row)
    return Made(row, token)


def revoke(enrolment: Enrolment, actor: User | None, now: datetime) -> None:
    """Raises WrongState for one that is used already, or over."""
    if not Enrolment.objects.filter(pk=enrolment.pk, claimed_at=None, **_OPEN).update(revoked_at=now):
        raise WrongState(_("It is used already, or over."))
    audit.record(actor, "revoke enrolment", enrolment)


# ------------------------------------------------------------------------------------------------ the server


def find(token: str, now: datetime, *, states: Iterable[EnrolmentState]) -> Enrolment:
    """The one of the token, when it is in one of the states. Raises BadToken."""
    row = Enrolment.objects.select_related("vps").filter(token_digest=_digest(token)).first()
    if row is None:
        raise BadToken(_("This token is not known."))
    state = row.state(now)
    if state not in states:
        raise BadToken(_refusals()[state])
    return row


def _refusals() -> dict[EnrolmentState, str]:
    used = _("This token was used already: each is good once.")
    return {
        EnrolmentState.WAITING: _("This server is not registered yet."),
        EnrolmentState.REGISTERED: used,
        EnrolmentState.DONE: used,
        EnrolmentState.FAILED: used,
        EnrolmentState.REVOKED: _("This token was revoked."),
        EnrolmentState.EXPIRED: _("This token has expired: each is good for an hour."),
    }


def register(token: str, hostname: str, address: str, now: datetime) -> tuple[Vps, redis_users.Access]:
    """Uses the token: whoever is first has it. `address`: where it comes from, empty when that is not known.

    Raises BadToken, TryAgain.
    """
    row = find(token, now, states=[EnrolmentState.WAITING])
    with transaction.atomic():
        good = Enrolment.objects.filter(pk=row.pk, claimed_at=None, expires_at__gt=now, **_OPEN)
        if not good.update(claimed_at=now, claimed_from=address or None):
            raise BadToken(_refusals()[EnrolmentState.REGISTERED])
        vps = _add(row, hostname, address)
        Enrolment.objects.filter(pk=row.pk).update(vps=vps)
        audit.record(row.actor, "enrol", vps, enrolment=row.pk)
    try:
        access = redis_users.access(vps)
    except (redis.RedisError, redis_users.NoUsersError) as error:
        log.error("enrolment.no_redis", enrolment=row.pk, error=type(error).__name__)
        _give_back(row, vps)
        raise TryAgain(_("Redis does not answer here: try again in a moment, the token is still good.")) from error
    log.info("enrolment.claimed", enrolment=row.pk, vps=vps.pk)
    return vps, access


def _add(row: Enrolment, hostname: str, address: str) -> Vps:
    return Vps.objects.create(
        name=_free_name(row.name or hostname or address), host=address or hostname, region=row.region,
        max_streams=row.max_streams, status=VpsStatus.PROVISIONING, status_message=_("adds itself by a command"),
    )  # fmt: skip


def _free_name(wanted: str) -> str:
    taken = set(Vps.objects.filter(name__startswith=wanted[:70]).values_list("name", flat=True))
    names = [wanted[:80], *(f"{wanted[:70]}-{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def _give_back(row: Enrolment, vps: Vps) -> None:
    with transaction.atomic():
        Enrolment.objects.filter(pk=row.pk).update(claimed_at=None, claimed_from=None, vps=None)
        _remove(vps)


def _remove(vps: Vps) -> None:
    """One that never carried anything: it is as if it had not been."""
    if Vps.objects.filter(pk=vps.pk, status=VpsStatus.PROVISIONING, runs=None).exists():
        vps_id = vps.pk
        vps.delete()
        redis_users.forget(vps_id)


def fail(token: str, why: str, now: datetime) -> None:
    """The server could not, and has undone what it did: so do we. Raises BadToken."""
    row = find(token, now, states=[EnrolmentState.REGISTERED])
    with transaction.atomic():
        if _end(row, now, _plain(why) or _("The server did not say why.")) and row.vps:
            _remove(row.vps)
    log.warning("enrolment.failed", enrolment=row.pk)


# ------------------------------------------------------------------------------------------------ its first heartbeat


def is_heard(enrolment: Enrolment, now: datetime) -> bool:
    """Whether it is in the fleet; the first who asks after its first heartbeat lets streams come to it."""
    if enrolment.state(now) is EnrolmentState.DONE:
        return True
    vps, claimed_at = enrolment.vps, enrolment.claimed_at
    if vps is None or claimed_at is None or vps.last_heartbeat_at is None or vps.last_heartbeat_at < claimed_at:
        return False
    with transaction.atomic():
        if _end(enrolment, now):
            _move(vps, Event.PROVISIONED)
    return True


def settle(now: datetime) -> str:
    """For the scheduler: those that are heard, and those that never will be."""
    done = lost = 0
    for row in Enrolment.objects.exclude(claimed_at=None).filter(**_OPEN).select_related("vps"):
        if is_heard(row, now):
            done += 1
        elif row.claimed_at and row.claimed_at < now - SILENT_FOR:
            lost += _lose(row, now)
    return _("%(done)d in the fleet, %(lost)d never heard") % {"done": done, "lost": lost}


def _lose(row: Enrolment, now: datetime) -> bool:
    """It may still be there, and come: it is kept, for people to look at."""
    why = _("It registered and was never heard.")
    with transaction.atomic():
        is_ours = _end(row, now, why)
        if is_ours and row.vps:
            _move(row.vps, Event.FAILED, why)
    return is_ours


def _end(row: Enrolment, now: datetime, failure: str = "") -> bool:
    open_ones = Enrolment.objects.filter(pk=row.pk, claimed_at__isnull=False, **_OPEN)
    return bool(open_ones.update(ended_at=now, failure=failure[:500]))


def _move(vps: Vps, event: Event, message: str = "") -> None:
    try:
        lifecycle.fire(vps.pk, event, message)
    except WrongState as refusal:  # an operator was faster
        log.info("enrolment.not_moved", vps=vps.pk, why=str(refusal))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _plain(text: str) -> str:
    """What a server says of itself is anybody's word."""
    return "".join(each if each.isprintable() else " " for each in text[:400]).strip()
