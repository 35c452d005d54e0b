"""How busy this machine is, from /proc and the file system."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from agent.protocol import Load


@dataclass(frozen=True, slots=True)
class _Counters:
    at: float
    busy: int
    total: int
    sent: dict[str, int]
    """By interface: one that goes takes its count with it."""


class LoadMeter:
    """Rates and sums are taken between calls of `sample`; the first call says 0 for them."""

    def __init__(self, disk: Path, proc: Path = Path("/proc")) -> None:
        self._disk = disk
        self._proc = proc
        self._last: _Counters | None = None
        self._sent = 0

    def sample(self, now: float) -> Load:
        counters = self._read(now)
        last, self._last = self._last, counters
        usage = shutil.disk_usage(self._disk)
        sent = _grown(last.sent, counters.sent) if last else 0
        self._sent += sent
        return Load(
            cpu=_percent(counters.busy - last.busy, counters.total - last.total) if last else 0.0,
            memory=self._memory(),
            disk=_percent(usage.used, usage.total),
            network_mbit=_mbit(sent, now - last.at) if last else 0.0,
            sent_bytes=self._sent,
        )

    def _read(self, now: float) -> _Counters:
        cpu = [int(word) for word in self._lines("stat")[0].split()[1:9]]
        idle = cpu[3] + cpu[4]
        return _Counters(now, sum(cpu) - idle, sum(cpu), self._bytes_sent())

    def _bytes_sent(self) -> dict[str, int]:
        found = {}
        for line in self._lines("net/dev")[2:]:
            name, _, counters = line.partition(":")
            if name.strip() != "lo":
                found[name.strip()] = int(counters.split()[8])
        return found

    def _memory(self) -> float:
        values = {}
        for line in self._lines("meminfo"):
            name, _, rest = line.partition(":")
            values[name] = int(rest.split()[0])
        return _percent(values["MemTotal"] - values["MemAvailable"], values["MemTotal"])

    def _lines(self, name: str) -> list[str]:
        return (self._proc / name).read_text(encoding="ascii", errors="replace").splitlines()


def _percent(part: int, whole: int) -> float:
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 1) if whole > 0 else 0.0


def _grown(before: dict[str, int], after: dict[str, int]) -> int:
    return sum(max(0, sent - before.get(name, 0)) for name, sent in after.items())


def _mbit(sent: int, seconds: float) -> float:
    return round(sent * 8 / 1e6 / seconds, 2) if seconds > 0 else 0.0
