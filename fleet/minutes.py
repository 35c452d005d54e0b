"""Heartbeats, gathered by the minute: the listener hands each in, and writes a minute down when it is over.

No query and no round trip per heartbeat: a minute of a thousand VPSes is one pipeline to Redis (`history`) and a
handful of queries (`traffic`). Several listeners may do so at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from agent.protocol import Heartbeat
from fleet import history, traffic
from fleet.history import Reading
from fleet.traffic import Meter

Closed = Mapping[int, Mapping[int, Reading]]
"""By minute, then by VPS."""


@dataclass(slots=True)
class _Sum:
    """Of one VPS in one minute."""

    beats: int = 0
    cpu: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    mbit: float = 0.0
    streams: int = 0

    def add(self, heartbeat: Heartbeat) -> None:
        load = heartbeat.load
        self.beats += 1
        self.cpu += min(100.0, max(0.0, load.cpu))
        self.memory += min(100.0, max(0.0, load.memory))
        self.disk = min(100.0, max(0.0, load.disk))
        self.mbit += max(0.0, load.network_mbit)
        self.streams = len(heartbeat.runs)

    def reading(self) -> Reading:
        """Means; of what moves slowly, the last word."""
        mean = 1 / self.beats
        return Reading(
            self.cpu * mean, self.memory * mean, self.disk, min(history.MOST_MBIT, self.mbit * mean), self.streams
        )


class Minutes:
    def __init__(self) -> None:
        self._sums: dict[int, dict[int, _Sum]] = defaultdict(dict)
        """By minute, then by VPS."""
        self._meters: dict[int, Meter] = {}

    def take(self, heartbeat: Heartbeat, now: datetime) -> None:
        """Of a VPS that is in the database."""
        vps_id, sums = heartbeat.vps_id, self._sums[history.minute_of(now)]
        sums.setdefault(vps_id, _Sum()).add(heartbeat)
        if heartbeat.load.sent_bytes is not None:
            self._meters[vps_id] = Meter(heartbeat.load.sent_bytes, heartbeat.timestamp)

    def close(self, now: datetime) -> Closed:
        """The minutes that are over, for `history.keep`; their traffic is booked. Raises `DatabaseError`: then they
        wait for the next time."""
        over = sorted(minute for minute in self._sums if minute < history.minute_of(now))
        if over:
            traffic.book(self._meters, now)
            self._meters = {}
        closed = {minute: self._sums.pop(minute) for minute in over}
        return {
            minute: {vps_id: each.reading() for vps_id, each in sums.items()}
            for minute, sums in closed.items()
            if minute > history.minute_of(now) - history.KEPT
        }
