"""Commands to agents: the only place that publishes on `vps-commands:{vps_id}`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import redis
from django.conf import settings

from agent.protocol import Command, commands_channel, encode

_TIMEOUT_S = 5.0


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.AGENT_REDIS_URL, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)


def publish(vps_id: int, command: Command) -> int:
    """How many agents heard it; 0: not delivered. Raises `redis.RedisError` when Redis is gone."""
    return int(_client().publish(commands_channel(vps_id), encode(command)))


def publish_to_all(vps_ids: Iterable[int], command: Command) -> list[int]:
    """The same to many, in one go; for each, how many agents heard it."""
    text = encode(command)
    with _client().pipeline(transaction=False) as pipe:
        for vps_id in vps_ids:
            pipe.publish(commands_channel(vps_id), text)
        return [int(heard) for heard in pipe.execute()]
