"""What is well with Redis and what is not (RED-5), beyond that it answers: a queue that loses jobs, a server that
throws away keys or refuses to write, channels nobody listens on, keys that never go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from agent.protocol import commands_channel
from fleet import redis_users
from fleet.models import Vps
from kit.addresses import is_on_this_machine
from ops import redis_tls
from ops.queues import NAMESPACE, QUEUES

TIMEOUT_S: Final = 5.0
SLOW_MS: Final = 250.0
NEARLY_FULL: Final = 0.9
LONG_QUEUE: Final = 1_000
LASTING: Final = {"samples:*": 86_400, "answers:*": 60, ":1:*": 86_400}
"""Keys of ours that always expire (the last are the cache's), and after how many seconds one that never does shall."""
_ORPHANS: Final = """
local known = {}
for _, id in ipairs(redis.call('lrange', KEYS[1], 0, -1)) do known[id] = true end
for _, acks in ipairs(redis.call('keys', ARGV[1])) do
  for _, id in ipairs(redis.call('smembers', acks)) do known[id] = true end
end
local lost = 0
for _, id in ipairs(redis.call('hkeys', KEYS[2])) do
  if not known[id] then
    lost = lost + 1
    if ARGV[2] == '1' then redis.call('rpush', KEYS[1], id) end
  end
end
return lost
"""
"""Jobs that are kept but stand in no queue and are in no worker's hand: nobody would ever do them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not well. `is_fixed`: it was put right in passing."""

    words: str
    is_fixed: bool = False


class UnwellError(Exception):
    """Redis is not well; the text says what."""


def check_and_fix(now: datetime) -> str:
    """For the scheduler: what was put right, raises UnwellError with what could not be."""
    found = look(now, fix=True)
    left = [each.words for each in found if not each.is_fixed]
    if left:
        raise UnwellError("; ".join(left))
    return "; ".join(each.words for each in found) or _("well")


def look(now: datetime, *, fix: bool = False) -> list[Finding]:
    """What is not well, of the queue's Redis and of the agents'."""
    found: list[Finding] = []
    for url in dict.fromkeys([settings.REDIS_URL, settings.AGENT_REDIS_URL]):
        try:
            with redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
                found += _of_one(client, url, now, fix)
        except redis.RedisError as error:
            found.append(Finding(_("does not answer (%(error)s)") % {"error": type(error).__name__}))
    return found


def _of_one(client: redis.Redis, url: str, now: datetime, fix: bool) -> Iterator[Finding]:
    yield from _server(client.info())
    yield from _writing(client)
    if url == settings.REDIS_URL:
        yield from _queues(client, fix)
        yield from _unending_keys(client, fix)
    if url == settings.AGENT_REDIS_URL:
        yield from _ears(client, now)
        yield from _agents_users(fix)
        yield from _open_door(client)
        yield from (Finding(words) for words in redis_tls.warnings(now))


def _server(info: dict[str, Any]) -> Iterator[Finding]:
    most, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    policy = str(info.get("maxmemory_policy", ""))
    if most and used > NEARLY_FULL * most:
        yield Finding(_("memory is %(n)d %% full") % {"n": used * 100 // most})
    if most and policy.startswith("allkeys"):
        yield Finding(_("maxmemory-policy «%(policy)s» throws queued jobs away: use noeviction") % {"policy": policy})
    for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"):
        if info.get(name, "ok") != "ok":
            yield Finding(_("cannot save to disk (%(name)s)") % {"name": name})


def _writing(client: redis.Redis) -> Iterator[Finding]:
    try:
        client.set("health:probe", 1, ex=60)
    except redis.ResponseError as error:
        yield Finding(_("refuses to write: %(error)s") % {"error": str(error)[:120]})


def _queues(client: redis.Redis, fix: bool) -> Iterator[Finding]:
    for queue in (f"{name}{suffix}" for name in QUEUES for suffix in ("", ".DQ")):
        names = [f"{NAMESPACE}:{queue}", f"{NAMESPACE}:{queue}.msgs"]
        waiting = client.llen(names[0])
        if waiting > LONG_QUEUE:
            yield Finding(_("%(n)d jobs wait in «%(queue)s»") % {"n": waiting, "queue": queue})
        acks = f"{NAMESPACE}:__acks__.*.{queue}"
        lost = cast(int, client.eval(_ORPHANS, 2, *names, acks, "1" if fix else "0"))
        if lost:
            words = _("%(n)d jobs of «%(queue)s» stood in no queue") % {"n": lost, "queue": queue}
            yield Finding(words, is_fixed=fix)


def _unending_keys(client: redis.Redis, fix: bool) -> Iterator[Finding]:
    for pattern, seconds in LASTING.items():
        keys = [key for key in client.scan_iter(pattern, count=1000) if client.ttl(key) == -1]
        if not keys:
            continue
        if fix:
            with client.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.expire(key, seconds)
                pipe.execute()
        yield Finding(_("%(n)d keys «%(p)s» would never go") % {"n": len(keys), "p": pattern}, is_fixed=fix)


def _ears(client: redis.Redis, now: datetime) -> Iterator[Finding]:
    """Heartbeats come up by themselves; that commands get down shows only in who listens."""
    if not client.pubsub_numpat():
        yield Finding(_("no listener hears the agents"))
    reachable = dict(Vps.objects.reachable(now).values_list("pk", "name"))
    channels = [commands_channel(pk) for pk in reachable]
    heard = cast(list[tuple[bytes, int]], client.pubsub_numsub(*channels)) if channels else []
    for name, (_channel, ears) in zip(reachable.values(), heard, strict=True):
        if ears == 0:
            yield Finding(_("«%(vps)s» sends heartbeats but hears no commands") % {"vps": name})
        elif ears > 1:
            yield Finding(_("%(n)d agents hear as «%(vps)s»: each VPS has one") % {"n": ears, "vps": name})


def _agents_users(fix: bool) -> Iterator[Finding]:
    try:
        if fix:
            changed = redis_users.apply()
            redis_users.settle()
            if changed:
                yield Finding(_("the agents' users were not as they should be"), is_fixed=True)
        elif missing := redis_users.missing():
            words = _("the agents' users are not as they should be: %(names)s")
            yield Finding(words % {"names": ", ".join(missing)[:200]})
    except redis_users.NoUsersError as error:
        if not settings.AGENTS_SHARE_REDIS_USER:
            yield Finding(str(error))


def _open_door(client: redis.Redis) -> Iterator[Finding]:
    """Users of their own hold nobody back where everybody may come without."""
    if settings.AGENTS_SHARE_REDIS_USER or is_on_this_machine(settings.AGENT_REDIS_PUBLIC_URL):
        return
    default = next((line for line in map(str, client.acl_list()) if line.startswith("user default ")), "")
    if {"on", "nopass"} <= set(default.split()):
        yield Finding(_("whoever reaches it may do everything: give its default user a password (requirepass)"))
