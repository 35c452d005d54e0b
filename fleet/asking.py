"""Questions to agents (PING, QUERY), answered while somebody waits.

Who asks listens on the agent's channel itself: nothing has to pass through the listener or the database, so it works
also while those are what one looks for the fault of. The question goes out behind a PING, whose answer says what the
agent can be asked: an agent that is too old is known at once, not by its silence.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from agent.protocol import Answered, Ping, Pong, ProtocolError, Query, UpMessage, decode_up, vps_channel
from fleet import commands
from fleet.errors import NoAnswer, TooOld
from fleet.models import Vps

WAIT_S: Final = 10.0
_CONNECT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pinged:
    took_ms: float
    active_streams: int
    queries: tuple[str, ...]


def ping(vps: Vps, wait_s: float = WAIT_S) -> Pinged:
    """Raises NoAnswer; `redis.RedisError` when Redis is gone."""
    with _ear(vps, wait_s) as ear:
        return ear.ping()


def ask(vps: Vps, what: str, *, lines: int = 100, wait_s: float = WAIT_S) -> Answered:
    """`what`: one of `protocol.QUERIES`. Raises NoAnswer, TooOld; `redis.RedisError` when Redis is gone."""
    with _ear(vps, wait_s) as ear:
        if what not in ear.ping().queries:
            raise TooOld(_("The agent on «%(vps)s» is too old to say. Upgrade it.") % {"vps": vps.name})
        query = Query(query_id=str(uuid.uuid4()), what=what, timestamp=time.time(), lines=lines)
        commands.publish(vps.pk, query)
        for message in ear.hear():
            if isinstance(message, Answered) and message.query_id == query.query_id:
                return message
    raise _silent(vps)


class _Ear:
    def __init__(self, vps: Vps, pubsub: Any, wait_s: float) -> None:
        self._vps = vps
        self._pubsub = pubsub
        self._until = time.monotonic() + wait_s

    def hear(self) -> Iterator[UpMessage]:
        """What the agent says, until the time is up."""
        while (left := self._until - time.monotonic()) > 0:
            raw = self._pubsub.get_message(timeout=left)
            if raw is None or raw["type"] != "message":
                continue
            try:
                yield decode_up(raw["channel"].decode(), raw["data"])
            except ProtocolError:
                continue

    def ping(self) -> Pinged:
        asked, began = time.time(), time.monotonic()
        if not commands.publish(self._vps.pk, Ping(timestamp=asked)):
            words = _("No agent listens for «%(vps)s»: it is not running, or cut off from Redis.")
            raise NoAnswer(words % {"vps": self._vps.name})
        for message in self.hear():
            if isinstance(message, Pong) and message.ping_timestamp == asked:
                return Pinged((time.monotonic() - began) * 1000, message.active_streams, message.queries)
        raise _silent(self._vps)


@contextmanager
def _ear(vps: Vps, wait_s: float) -> Iterator[_Ear]:
    limits = {"socket_connect_timeout": _CONNECT_S, "socket_timeout": _CONNECT_S}
    with redis.Redis.from_url(settings.AGENT_REDIS_URL, **limits) as client, client.pubsub() as pubsub:
        pubsub.subscribe(vps_channel(vps.pk))
        pubsub.get_message(timeout=_CONNECT_S)
        yield _Ear(vps, pubsub, wait_s)


def _silent(vps: Vps) -> NoAnswer:
    return NoAnswer(_("The agent on «%(vps)s» did not answer in time.") % {"vps": vps.name})
