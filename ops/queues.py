"""The broker's queues, as Dramatiq lays them out in Redis (`dispatch.lua`)."""

from __future__ import annotations

from typing import Final, cast

import redis

NAMESPACE: Final = "dramatiq"
QUEUES: Final = ("default", "media", "fleet")


def depths(client: redis.Redis) -> dict[tuple[str, str], int]:
    """How many messages by queue and state: `waiting`, `delayed` (to be tried again), `dead` (given up)."""
    keys = {
        (queue, state): f"{NAMESPACE}:{queue}{suffix}"
        for queue in QUEUES
        for state, suffix in (("waiting", ""), ("delayed", ".DQ"), ("dead", ".XQ"))
    }
    with client.pipeline(transaction=False) as pipe:
        for (_queue, state), key in keys.items():
            pipe.zcard(key) if state == "dead" else pipe.llen(key)
        counts = cast(list[int], pipe.execute())
    return dict(zip(keys, counts, strict=True))
