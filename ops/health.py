"""Whether the control plane can do its work now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import redis
from django.conf import settings
from django.db import DatabaseError, connection

from ops import processes

_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """By name of the thing looked at: True when it is well."""

    checks: dict[str, bool]

    @property
    def is_ready(self) -> bool:
        return all(self.checks.values())


def look(now: datetime) -> Readiness:
    database = _database_answers()
    checks = {"database": database, "redis": _redis_answers()}
    seen = processes.seen(now) if database else dict.fromkeys(processes.KINDS, False)
    return Readiness(checks | seen)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def _redis_answers() -> bool:
    options = {"socket_timeout": _TIMEOUT_S, "socket_connect_timeout": _TIMEOUT_S}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **options) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
