"""Bytes a run has sent, over all its playouts and servers: each of them counts from nothing (ACC-7). Pure.

What has to be remembered lies in the report's memory, beside what `streams.happenings` remembers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.protocol import RunReport

Sent = dict[str, Any]


def count(before: Mapping[str, Any] | None, report: RunReport) -> Sent:
    """`before`: what this returned for the report before. `last`: by destination; `earlier`: all that playouts which
    are gone, and destinations that began anew, had sent."""
    earlier, last = int((before or {}).get("earlier", 0)), dict((before or {}).get("last", {}))
    for each in report.destinations:
        known = last.get(str(each.id), 0)
        earlier += known if each.bytes_sent < known else 0
        last[str(each.id)] = each.bytes_sent
    return {"earlier": earlier, "last": last}


def total(counted: Mapping[str, Any] | None, destinations: Iterable[Mapping[str, Any]] | None) -> int:
    """Bytes, from a run's stored report: its `memory.sent`, or what its destinations said where there is none."""
    if counted:
        return int(counted["earlier"]) + sum(map(int, counted["last"].values()))
    return sum(int(each.get("bytes_sent") or 0) for each in destinations or ())
