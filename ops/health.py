"""Whether the control plane can do its work now, found out in bounded time: also what hangs is told, not waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import redis
from django.conf import settings
from django.utils import timezone

from ops import processes, redis_tls
from ops.probes import Probe
from streams.models import Stream

LIMIT_S: Final = 2.0
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
DATABASE: Final = "database"
_STARTED: Final = time.monotonic()


@dataclass(frozen=True, slots=True)
class Readiness:
    """`reasons` by name of what is not well; all that was looked at is in `names`."""

    names: tuple[str, ...]
    reasons: Mapping[str, str]
    active_streams: int | None

    @property
    def is_ready(self) -> bool:
        return not self.reasons

    def as_json(self) -> dict[str, Any]:
        return {
            "status": "ok" if self.is_ready else "not ready",
            "version": settings.VERSION,
            "uptime_s": round(time.monotonic() - _STARTED, 1),
            "active_streams": self.active_streams,
            "checks": {name: name not in self.reasons for name in self.names},
            "reasons": dict(self.reasons),
        }


def look(since: datetime = LONG_AGO) -> Readiness:
    """Processes count that were seen from `since` on, and lately."""
    until = time.monotonic() + LIMIT_S
    probes = _probes()
    for probe in probes.values():
        probe.begin()
    answers = {name: probe.answer(until) for name, probe in probes.items()}
    reasons = {name: answer.why_not for name, answer in answers.items() if answer.why_not}
    facts = answers[DATABASE].value
    kinds = facts.kinds if facts else processes.KINDS
    reasons |= facts.missing(since) if facts else dict.fromkeys(kinds, "unknown without the database")
    return Readiness((*answers, *kinds), reasons, facts.active_streams if facts else None)


@dataclass(frozen=True, slots=True)
class _Facts:
    kinds: tuple[str, ...]
    """Of processes that must run."""
    newest: Mapping[str, datetime]
    active_streams: int

    def missing(self, since: datetime) -> dict[str, str]:
        now = timezone.now()
        return processes.missing_of(self.kinds, self.newest, now, max(since, now - processes.FRESH))


def _ask_database() -> _Facts:
    return _Facts(processes.expected(), processes.last_seen(), Stream.objects.on_air().count())


def _ask_redis(url: str) -> None:
    limits = {"socket_timeout": LIMIT_S, "socket_connect_timeout": LIMIT_S}
    with redis.Redis.from_url(url, **limits) as client:
        client.ping()


# ------------------------------------------------------------------------------------------------ what is asked

_kept: dict[tuple[str, str], Probe] = {}
_keeping = threading.Lock()


def _probes() -> dict[str, Probe]:
    """By what needs it. Kept from look to look: one that hangs must not be asked again."""
    wanted: dict[str, tuple[str, Callable[[], Any]]] = {
        DATABASE: ("", _ask_database),
        "queue": (settings.REDIS_URL, partial(_ask_redis, settings.REDIS_URL)),
        "channels": (settings.REDIS_URL, partial(_ask_redis, settings.REDIS_URL)),
        "agents": (settings.AGENT_REDIS_URL, partial(_ask_redis, settings.AGENT_REDIS_URL)),
    }
    if settings.AGENT_REDIS_PUBLIC_URL.startswith("rediss:"):
        wanted["certificate"] = (settings.AGENT_REDIS_PUBLIC_URL, redis_tls.ask)
    with _keeping:
        return {name: _kept.setdefault((name, url), Probe(ask)) for name, (url, ask) in wanted.items()}
