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
    sent: int


class LoadMeter:
    """Rates are taken between two calls of `sample`; the first call says 0 for them."""

    def __init__(self, disk: Path, proc: Path = Path("/proc")) -> None:
        self._disk = disk
        self._proc = proc
        self._last: _Counters | None = None

    def sample(self, now: float) -> Load:
        counters = self._read(now)
        last, self._last = self._last, counters
        usage = shutil.disk_usage(self._disk)
        return Load(
            cpu=_percent(counters.busy - last.busy, counters.total - last.total) if last else 0.0,
            memory=self._memory(),
            disk=_percent(usage.used, usage.total),
            network_mbit=_mbit(counters.sent - last.sent, now - last.at) if last else 0.0,
        )

    def _read(self, now: float) -> _Counters:
        cpu = [int(word) for word in self._lines("stat")[0].split()[1:9]]
        idle = cpu[3] + cpu[4]
        return _Counters(now, sum(cpu) - idle, sum(cpu), self._bytes_sent())

    def _bytes_sent(self) -> int:
        total = 0
        for line in self._lines("net/dev")[2:]:
            name, _, counters = line.partition(":")
            if name.strip() != "lo":
                total += int(counters.split()[8])
        return total

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


def _mbit(sent: int, seconds: float) -> float:
    return round(max(0, sent) * 8 / 1e6 / seconds, 2) if seconds > 0 else 0.0
