"""Whether Redis answers, for pages to say so. Each process asks at most every two seconds, and never waits for long."""

from __future__ import annotations

import threading
import time
from typing import Final

import redis
from django.conf import settings

ASKED_EVERY_S: Final = 2.0
_LIMIT_S: Final = 0.3


class _State:
    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._asked_at = -ASKED_EVERY_S
        self._url = ""
        self._is_away = False

    def is_away(self, url: str) -> bool:
        """What was found last; who finds it too old asks, the others do not wait for it."""
        is_old = time.monotonic() - self._asked_at >= ASKED_EVERY_S or url != self._url
        if is_old and self._asking.acquire(blocking=False):
            try:
                self._is_away = not answers(url, _LIMIT_S)
                self._url, self._asked_at = url, time.monotonic()
            finally:
                self._asking.release()
        return self._is_away


_state = _State()


def is_away() -> bool:
    return _state.is_away(settings.REDIS_URL)


def answers(url: str, limit_s: float) -> bool:
    """Asks now."""
    try:
        with redis.Redis.from_url(url, socket_timeout=limit_s, socket_connect_timeout=limit_s) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
