"""Bitrate and lag over the last two hours of a run, for the charts: one sample in ten seconds, in Redis alone.

A sorted set per run, by the sample's moment: two listeners that keep the same sample keep one. Capped, and gone a day
after the last one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings

from agent.protocol import RunReport

EVERY_S: Final = 10
KEPT: Final = 2 * 3600 // EVERY_S
EXPIRES_S: Final = 24 * 3600
MOST_OUTPUTS: Final = 50
_TIMEOUT_S: Final = 5.0

Point = tuple[float, float | None]
"""kbit/s, and milliseconds of lag (None while it is not live)."""


@dataclass(frozen=True, slots=True)
class Sample:
    run_id: str
    at: int
    """Unix seconds by our clock, a multiple of EVERY_S."""
    outputs: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, slots=True)
class Series:
    """Of one destination, in step with `Curves.moments`; None where nothing was heard."""

    output_id: int
    kbps: tuple[float | None, ...]
    lag_ms: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Curves:
    moments: tuple[int, ...]
    series: tuple[Series, ...]


class Sampler:
    """Takes what heartbeats say, at most once in EVERY_S of each run, until it is written."""

    def __init__(self) -> None:
        self._waiting: list[Sample] = []
        self._newest: dict[str, int] = {}

    def take(self, report: RunReport, now: datetime) -> None:
        at = int(now.timestamp()) // EVERY_S * EVERY_S
        if report.phase != "on_air" or self._newest.get(report.run_id) == at:
            return
        self._newest[report.run_id] = at
        outputs = {str(each.id): _point(each.state, each.bitrate_kbps, each.lag_ms) for each in report.destinations}
        self._waiting.append(Sample(report.run_id, at, dict(list(outputs.items())[:MOST_OUTPUTS])))

    def write(self) -> None:
        """Raises `redis.RedisError` when Redis is gone; what waited then is lost, a gap in a chart."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            keep(waiting)

    def forget(self, before: datetime) -> None:
        self._newest = {run_id: at for run_id, at in self._newest.items() if at >= before.timestamp()}


def _point(state: str, kbps: float, lag_ms: int) -> list[float | None]:
    return [round(kbps, 1), lag_ms] if state == "live" else [0.0, None]


def keep(samples: Iterable[Sample]) -> None:
    """All of them in one go."""
    with _client().pipeline(transaction=False) as pipe:
        for sample in samples:
            key = _key(sample.run_id)
            pipe.zremrangebyscore(key, sample.at, sample.at)
            pipe.zadd(key, {json.dumps([sample.at, sample.outputs], separators=(",", ":")): sample.at})
            pipe.zremrangebyrank(key, 0, -KEPT - 1)
            pipe.expire(key, EXPIRES_S)
        pipe.execute()


def curves(run_id: uuid.UUID | str) -> Curves:
    """On an even grid: where nothing was heard there are gaps. Raises `redis.RedisError` when Redis is gone."""
    rows: Any = _client().zrange(_key(str(run_id)), 0, -1)
    found = dict(json.loads(row) for row in rows)
    if not found:
        return Curves((), ())
    last = max(found)
    first = max(min(found), last - (KEPT - 1) * EVERY_S)
    moments = tuple(range(first, last + 1, EVERY_S))
    ids = sorted({int(output) for outputs in found.values() for output in outputs})
    return Curves(moments, tuple(_series(output_id, moments, found) for output_id in ids))


def _series(output_id: int, moments: tuple[int, ...], found: Mapping[int, Mapping[str, Any]]) -> Series:
    points = [found.get(at, {}).get(str(output_id)) or (None, None) for at in moments]
    return Series(output_id, tuple(point[0] for point in points), tuple(point[1] for point in points))


def _key(run_id: str) -> str:
    return f"samples:{run_id}"


@cache
def _client() -> redis.Redis:
    url = settings.AGENT_REDIS_URL
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
