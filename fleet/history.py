"""What each VPS's load was in each minute of the last day, for sparklines and charts: in Redis alone.

A ring of 1,440 records of 14 bytes per VPS, one string of 20 KB: a minute has its place in it, so that two listeners
that write the same minute write one, and the last hour of a page of VPSes is read in one round trip. Each record
names its minute; what is older than the ring is thereby known, and so is a gap.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

import redis
from django.conf import settings

KEPT: Final = 24 * 60
"""Minutes."""
EXPIRES_S: Final = 25 * 3600
MOST_MBIT: Final = 65_000.0
"""The largest a half float takes."""
_RECORD: Final = struct.Struct("<I4eH")
"""The minute since 1970; CPU, memory and disk in percent and the uplink in Mbit/s as half floats; streams."""
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Percent 0–100; Mbit/s that leave the machine; runs held."""

    cpu: float
    memory: float
    disk: float
    mbit: float
    streams: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One reading for each minute up to now, oldest first; None where nothing was heard."""

    first_minute: int
    readings: tuple[Reading | None, ...]


def minute_of(moment: datetime) -> int:
    return int(moment.timestamp()) // 60


def keep(minutes: Mapping[int, Mapping[int, Reading]]) -> None:
    """By minute, then by VPS; all in one go. Raises `redis.RedisError` when Redis is gone."""
    with _client().pipeline(transaction=False) as pipe:
        for minute, readings in minutes.items():
            for vps_id, reading in readings.items():
                pipe.setrange(_key(vps_id), minute % KEPT * _RECORD.size, _packed(minute, reading))
                pipe.expire(_key(vps_id), EXPIRES_S)
        pipe.execute()


def curves(vps_ids: Collection[int], minutes: int, now: datetime) -> dict[int, Curve]:
    """The last `minutes` (up to `KEPT`) of each. Raises `redis.RedisError` when Redis is gone."""
    last = minute_of(now)
    first = last - minutes + 1
    spans = list(_spans(first % KEPT, minutes))
    with _client().pipeline(transaction=False) as pipe:
        for vps_id in vps_ids:
            for start, count in spans:
                pipe.getrange(_key(vps_id), start * _RECORD.size, (start + count) * _RECORD.size - 1)
        answers: list[Any] = pipe.execute()
    step = len(spans)
    parts = (answers[index : index + step] for index in range(0, len(answers), step))
    return {vps_id: _curve(part, first, minutes) for vps_id, part in zip(vps_ids, parts, strict=True)}


def _spans(place: int, minutes: int) -> Iterator[tuple[int, int]]:
    """Where they lie in the ring: in one piece, or in two when they go round its end."""
    until_end = min(minutes, KEPT - place)
    yield place, until_end
    if until_end < minutes:
        yield 0, minutes - until_end


def _curve(parts: list[bytes], first: int, minutes: int) -> Curve:
    known: dict[int, Reading] = {}
    for part in parts:
        whole = len(part) // _RECORD.size * _RECORD.size
        for minute, *values in _RECORD.iter_unpack(part[:whole]):
            known[minute] = Reading(*values)
    return Curve(first, tuple(known.get(minute) for minute in range(first, first + minutes)))


def _packed(minute: int, reading: Reading) -> bytes:
    mbit = min(MOST_MBIT, max(0.0, reading.mbit))
    return _RECORD.pack(minute, reading.cpu, reading.memory, reading.disk, mbit, min(65_535, reading.streams))


def _key(vps_id: int) -> str:
    return f"load:{vps_id}"


@cache
def _client() -> redis.Redis:
    url = settings.AGENT_REDIS_URL
    return redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
