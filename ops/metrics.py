"""The figures at /metrics: what processes counted, and what the database and Redis know at this moment.

What cannot be asked now is left out and `ezstream_up{part="…"}` says 0; the rest is told all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final

import redis
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleet.models import Vps, VpsStatus
from kit.metrics import counted
from ops import processes, queues
from ops.models import Job
from streams.models import Status, Stream

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_REDIS_LIMIT_S: Final = 2.0


def text() -> bytes:
    now = timezone.now()
    asked = CollectorRegistry()
    asked.register(_Asked(now))
    return generate_latest(counted()) + generate_latest(asked)


class _Asked(Collector):
    def __init__(self, now: datetime) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("ezstream_up", "Whether it could be asked.", labels=["part"])
        for part, ask in (("database", _of_database), ("redis", _of_redis)):
            found, is_up = _tried(ask, self._now)
            up.add_metric([part], is_up)
            yield from found
        yield up

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not ask the database to know the names."""
        return []


def _tried(ask: Callable[[datetime], Iterator[Metric]], now: datetime) -> tuple[list[Metric], int]:
    try:
        return list(ask(now)), 1
    except (DatabaseError, redis.RedisError):
        return [], 0


def _gauge(name: str, words: str, label: str, rows: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(f"ezstream_{name}", words, labels=[label])
    for value, number in rows:
        family.add_metric([value], number)
    return family


def _of_database(now: datetime) -> Iterator[Metric]:
    streams = dict(Stream.objects.order_by().values_list("status").annotate(Count("pk")))
    yield _gauge("streams", "Streams.", "status", ((each.value, streams.get(each, 0)) for each in Status))
    yield from _fleet(now)
    seen = processes.last_seen()
    ages = ((kind, (now - at).total_seconds()) for kind, at in seen.items())
    yield _gauge("process_seen_seconds_ago", "Since a process of the kind was seen.", "kind", ages)
    yield from _jobs(now)


def _fleet(now: datetime) -> Iterator[Metric]:
    vpses = list(Vps.objects.with_current_streams())
    by_status = Counter(vps.status for vps in vpses)
    yield _gauge("vpses", "VPSes.", "status", ((each.value, by_status[each]) for each in VpsStatus))
    health = Counter(
        "silent" if not vps.is_reachable(now) else "unhealthy" if vps.unhealthy else "well" for vps in vpses
    )
    kinds = ("well", "unhealthy", "silent")
    yield _gauge("vps_health", "VPSes, by how they are.", "health", ((kind, health[kind]) for kind in kinds))
    open_ones = [vps for vps in vpses if vps.state is VpsStatus.ACTIVE]
    held = sum(vps.current_streams for vps in vpses)  # type: ignore[attr-defined]
    rows = [("held", held), ("all", sum(vps.max_streams for vps in open_ones))]
    yield _gauge("slots", "Slots: held by runs, and all of active VPSes.", "kind", rows)


def _how(vps: Vps, now: datetime) -> str:
    if not vps.is_reachable(now):
        return "silent"
    return "unhealthy" if vps.unhealthy else "well"


def _jobs(now: datetime) -> Iterator[Metric]:
    jobs = list(Job.objects.exclude(last_succeeded=None))
    took = ((job.name, job.last_duration_s or 0.0) for job in jobs)
    yield _gauge("job_last_seconds", "How long a periodic job took last.", "job", took)
    yield _gauge(
        "job_last_ok", "Whether it went well.", "job", ((job.name, float(bool(job.last_succeeded))) for job in jobs)
    )
    late = ((job.name, max(0.0, (now - job.next_run_at).total_seconds())) for job in jobs)
    yield _gauge("job_late_seconds", "For how long it has been due.", "job", late)


def _of_redis(_now: datetime) -> Iterator[Metric]:
    limits = {"socket_timeout": _REDIS_LIMIT_S, "socket_connect_timeout": _REDIS_LIMIT_S}
    with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
        depths = queues.depths(client)
    family = GaugeMetricFamily("ezstream_queue", "Background work, by queue and state.", labels=["queue", "state"])
    for (queue, state), depth in depths.items():
        family.add_metric([queue, state], depth)
    yield family
