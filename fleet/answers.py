"""What an agent answered, handed from the listener that heard it to the process that waits for it.

An agent may touch only its own four channels, so the listener passes its answers on: a short list in Redis, under
the id the question was asked with. The id is random and was told to one VPS alone; who waits names besides what the
answer must say of itself, so that no other VPS and no other run answers in its place.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings

from agent.protocol import DestinationTested, Steered

KEPT_S: Final = 30
LONGEST: Final = 4096
"""Characters of one answer: what is said in a sentence, not what fills Redis."""
LONGEST_WAIT_S: Final = 30.0
_TIMEOUT_S: Final = 5.0


def new_id() -> str:
    return str(uuid.uuid4())


def forward(message: Steered | DestinationTested) -> bool:
    """Passes an agent's answer on to whoever asked. False for one nobody can have asked for."""
    asked = message.order_id if isinstance(message, Steered) else message.test_id
    return put(asked, dataclasses.asdict(message))


def put(answer_id: str, payload: dict[str, Any]) -> bool:
    """Raises `redis.RedisError` when Redis is gone."""
    text = json.dumps(payload)
    if not _is_ours(answer_id) or len(text) > LONGEST:
        return False
    with _client(_TIMEOUT_S).pipeline(transaction=True) as pipe:
        pipe.rpush(_key(answer_id), text)
        pipe.expire(_key(answer_id), KEPT_S)
        pipe.execute()
    return True


def wait(answer_id: str, seconds: float, **expected: object) -> dict[str, Any] | None:
    """The answer, or None when none came in time. One that says otherwise than `expected` (`vps_id=…`, `run_id=…`)
    is passed over. Raises `redis.RedisError` when Redis is gone."""
    until = time.monotonic() + min(seconds, LONGEST_WAIT_S)
    while (left := until - time.monotonic()) > 0:
        found = _take(answer_id, left)
        if found is not None and all(found.get(name) == value for name, value in expected.items()):
            return found
    return None


def _take(answer_id: str, seconds: float) -> dict[str, Any] | None:
    client = _client(LONGEST_WAIT_S + _TIMEOUT_S)
    # Redis takes 0 for «for ever».
    taken: Any = client.blpop([_key(answer_id)], timeout=max(0.01, seconds))
    found = json.loads(taken[1]) if taken else None
    return found if isinstance(found, dict) else None


def _is_ours(answer_id: str) -> bool:
    try:
        return str(uuid.UUID(answer_id)) == answer_id
    except ValueError:
        return False


def _key(answer_id: str) -> str:
    return f"answers:{answer_id}"


@cache
def _client(timeout_s: float) -> redis.Redis:
    """One for what is done at once, one that may wait."""
    url = settings.AGENT_REDIS_URL
    return redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=_TIMEOUT_S)
