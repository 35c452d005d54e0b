"""The users of agents in Redis: what the database wants is what Redis has (RED-6).

Redis forgets its users when it restarts without an `aclfile`, and a managed one has no file to keep. So the database
keeps them, and they are set again: when the listener's connection comes (back), every ten minutes by
`redis_health_check --fix`, and whenever one changes. That needs nothing of the server but ACL, and heals whatever
was done to it by hand.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from agent.protocol import client_name
from fleet import redis_acl
from fleet.errors import NotYet
from fleet.models import RedisUser, Vps
from kit.actors import after_commit
from kit.crypto import CannotOpenError

log = structlog.get_logger(__name__)
LIMIT_S: Final = 5.0

TUNNEL_PORT: Final = 16379
"""On the loopback of a server that reaches Redis through our SSH connection (fleet/tunnels.py)."""

Wanted = dict[int, tuple[str, ...]]
"""The digests of the passwords that are good, by VPS."""


class NoUsersError(Exception):
    """This Redis keeps no users of ours; the text says why and what to do."""


class CutOffError(Exception):
    """An operator took the access of this VPS away."""


@dataclass(frozen=True, slots=True)
class Access:
    """What an agent needs to reach Redis."""

    url: str = field(repr=False)
    ca: str = ""
    """PEM of who signed for the server; empty: whoever the system trusts, or no TLS."""


# ------------------------------------------------------------------------------------------------ verbs


def access(vps: Vps) -> Access:
    """What the agent of `vps` is to use from now on, made when there is none yet; the same each time until somebody
    rotates it. Raises NoUsersError, CutOffError, redis.RedisError."""
    user = _user_of(vps)
    if user.cut_off_at:
        raise CutOffError(_("«%(vps)s» is cut off from Redis.") % {"vps": vps})
    try:
        apply(vps.pk)
    except NoUsersError:
        if not settings.AGENTS_SHARE_REDIS_USER:
            raise
        return Access(_shared_url(vps), ca())
    return Access(_at(vps, f"{redis_acl.user_name(vps.pk)}:{user.passwords()[-1]}"), ca())


def rotate(vps: Vps, actor: User | None) -> None:
    """A new password beside the old one, which goes once the agent uses the new (`settle`). Twice is once."""
    user = _user_of(vps)
    new = user.sealed(secrets.token_urlsafe(32))
    single = RedisUser.objects.filter(pk=user.pk, secret_id=user.secret_id, sealed_next_password="")
    if single.update(sealed_next_password=new):
        audit.record(actor, "rotate redis password", vps)
    apply_after_commit(vps.pk)


def cut_off(vps: Vps, actor: User | None, *, robust: bool = False) -> None:
    """The agent is out of Redis at once: its connections are closed and it cannot come back. Idempotent.

    Raises NotYet, after the commit, when Redis cannot be told; `robust` as in `after_commit`.
    """
    user = _user_of(vps)
    if RedisUser.objects.filter(pk=user.pk, cut_off_at=None).update(cut_off_at=timezone.now()):
        audit.record(actor, "cut off from redis", vps)
    after_commit(lambda: _shut_out(vps.pk), robust=robust)


def _shut_out(vps_id: int) -> None:
    try:
        apply(vps_id)
    except redis.RedisError as error:
        raise NotYet(_("It is noted, not done: Redis does not answer. Its agent is put out when it does.")) from error
    except NoUsersError as error:
        words = _("It is noted, not done: its agent is still in Redis. %(why)s")
        more = _("Where agents share a user, only another password of that user puts it out.")
        shared = f" {more}" if settings.AGENTS_SHARE_REDIS_USER else ""
        raise NotYet(f"{words % {'why': error}}{shared}") from error


def admit(vps: Vps, actor: User | None) -> None:
    """Undoes `cut_off`, with a password that nobody has yet: `access` hands it out."""
    if RedisUser.objects.filter(vps=vps, cut_off_at__isnull=False).update(cut_off_at=None, **_fresh()):
        audit.record(actor, "admit to redis", vps)
    apply_after_commit(vps.pk)


def forget(vps_id: int) -> None:
    """For who removes a VPS: its user goes when the row has gone."""
    apply_after_commit(vps_id)


def settle() -> int:
    """Takes old passwords away where every connection of the agent was made with the new one. How many."""
    turning = list(RedisUser.objects.exclude(sealed_next_password=""))
    if not turning:
        return 0
    with _asking() as client:
        connections = client.client_list()
    done = [user for user in turning if _uses_new(user, connections)]
    for user in done:
        same = RedisUser.objects.filter(pk=user.pk, sealed_next_password=user.sealed_next_password)
        same.update(sealed_password=F("sealed_next_password"), sealed_next_password="")
        apply(user.pk)
        log.info("redis_users.settled", vps=user.pk)
    return len(done)


def _uses_new(user: RedisUser, connections: list[dict[str, str]]) -> bool:
    names = redis_acl.names_of(redis_acl.user_name(user.pk), connections)
    return bool(names) and set(names) == {client_name(user.pk, user.passwords()[-1])}


def _user_of(vps: Vps) -> RedisUser:
    return RedisUser.objects.get_or_create(vps=vps, defaults=_fresh())[0]


def _fresh() -> dict[str, object]:
    user = RedisUser()
    sealed = user.sealed(secrets.token_urlsafe(32))
    return {"secret_id": user.secret_id, "sealed_password": sealed, "sealed_next_password": ""}


# ------------------------------------------------------------------------------------------------ making it so


def apply(only: int | None = None) -> bool:
    """Makes Redis agree with the database, for one VPS or for all; True when that changed anything.

    Raises NoUsersError, redis.RedisError. The database is read again until it stays the same: of two that do this at
    once, whichever writes last has read what is true.
    """
    with _asking() as client:
        before = _told(client)
        wanted: Wanted | None = None
        while True:
            there = _there(client, only)
            found = _wanted(only)
            if found == wanted:
                return _told(client) != before
            wanted = found
            _write(client, wanted, there - set(wanted))


def apply_after_commit(vps_id: int) -> None:
    """A Redis that is away then is told when it is back."""
    after_commit(lambda: apply(vps_id), robust=True)


def heal() -> None:
    """For the listener, when Redis is (back) there: failing is logged, and done again at the next occasion."""
    try:
        if apply():
            log.warning("redis_users.healed")
    except NoUsersError as error:
        log.log(20 if settings.AGENTS_SHARE_REDIS_USER else 40, "redis_users.none", why=str(error))
    except (redis.RedisError, DatabaseError, OSError) as error:
        log.warning("redis_users.not_healed", error=type(error).__name__)


def missing() -> list[str]:
    """Names of VPSes whose user Redis does not have, and of users of VPSes that are none. Raises as `apply`."""
    with _asking() as client:
        there, wanted = _there(client, None), _wanted(None)
    names = dict(Vps.objects.filter(pk__in=set(wanted) - there).values_list("pk", "name"))
    return sorted([*names.values(), *(redis_acl.user_name(pk) for pk in there - set(wanted))])


@contextmanager
def _asking() -> Iterator[redis.Redis]:
    url, limits = settings.AGENT_REDIS_URL, {"socket_timeout": LIMIT_S, "socket_connect_timeout": LIMIT_S}
    try:
        with redis.Redis.from_url(url, decode_responses=True, **limits) as client:
            yield client
    except redis.ResponseError as error:
        words = _("Redis keeps no users for agents (%(why)s). It takes Redis 7 or Valkey, and the right to use ACL.")
        more = _("Without, AGENTS_SHARE_REDIS_USER=1 lets all agents sign in as the control plane does.")
        raise NoUsersError(f"{words % {'why': str(error)[:120]}} {more}") from None


def _there(client: redis.Redis, only: int | None) -> set[int]:
    users = {redis_acl.vps_of_user(str(name)) for name in client.acl_users()}
    return {each for each in users if each is not None and only in (None, each)}


def _wanted(only: int | None) -> Wanted:
    users = RedisUser.objects.filter(cut_off_at=None, **({} if only is None else {"pk": only}))
    return {user.pk: digests for user in users if (digests := _digests(user))}


def _digests(user: RedisUser) -> tuple[str, ...]:
    try:
        return tuple(redis_acl.digest(each) for each in user.passwords())
    except CannotOpenError:
        log.error("redis_users.cannot_open", vps=user.pk)
        return ()


def _write(client: redis.Redis, wanted: Wanted, gone: set[int]) -> None:
    """ACL DELUSER closes the user's connections as well."""
    with client.pipeline(transaction=False) as pipe:
        for vps_id, digests in wanted.items():
            # acl_setuser() of the client knows no selectors
            words = ("ACL SETUSER", redis_acl.user_name(vps_id), *redis_acl.rules(vps_id, digests))
            pipe.execute_command(*words)  # type: ignore[no-untyped-call]
        if gone:
            pipe.acl_deluser(*(redis_acl.user_name(vps_id) for vps_id in sorted(gone)))
        pipe.execute()


def _told(client: redis.Redis) -> list[str]:
    """Our users as Redis writes them."""
    return [line for line in map(str, client.acl_list()) if redis_acl.vps_of_user(line.split()[1])]


# ------------------------------------------------------------------------------------------------ the address


def _shared_url(vps: Vps) -> str:
    return _at(vps, urlsplit(settings.AGENT_REDIS_URL).netloc.rpartition("@")[0])


def _at(vps: Vps, who: str) -> str:
    """Channels belong to no database, and options in the query are for this machine: neither goes along."""
    parts = urlsplit(str(settings.AGENT_REDIS_PUBLIC_URL))
    host = parts.netloc.rpartition("@")[2]
    if vps.redis_by_tunnel:
        parts, host = urlsplit(str(settings.AGENT_REDIS_URL)), f"127.0.0.1:{TUNNEL_PORT}"
        parts = parts._replace(scheme="rediss" if parts.scheme == "rediss" else "redis")
    path = parts.path if parts.scheme == "unix" else ""
    return urlunsplit((parts.scheme, f"{who}@{host}" if who else host, path, "", ""))


def ca() -> str:
    """PEM of who signed for Redis, as `Access.ca`."""
    return Path(settings.REDIS_CA_FILE).read_text() if settings.REDIS_CA_FILE else ""
