"""What /proc says of a process: enough to know after a restart that a pid is still the same process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """Of one live process. `ticks`: clock ticks after boot at which it began."""

    parent: int
    ticks: int
    used_ticks: int
    """Of a core, since it began."""
    memory: int
    """Bytes resident."""


def stat(pid: int) -> Stat | None:
    """None when there is none, or only its zombie."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = line.rpartition(")")[2].split()
    if len(fields) < 22 or fields[0] in ("Z", "X"):
        return None
    return Stat(int(fields[1]), int(fields[19]), int(fields[11]) + int(fields[12]), int(fields[21]) * PAGE_BYTES)


def start_ticks(pid: int) -> int | None:
    """Clock ticks after boot at which the process began; None when there is none, or only its zombie."""
    found = stat(pid)
    return found.ticks if found else None


def is_alive(pid: int, ticks: int) -> bool:
    return start_ticks(pid) == ticks


def command_line(pid: int) -> list[str]:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.split(b"\0") if part]


def pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def playouts_under(runs_dir: Path) -> dict[Path, list[int]]:
    """Live `agent.playout` processes of this agent's runs, by run directory: also those no journal knows."""
    found: dict[Path, list[int]] = {}
    for pid in pids():
        words = command_line(pid)
        if "agent.playout" not in words or start_ticks(pid) is None:
            continue
        for word in words:
            if Path(word).parent == runs_dir:
                found.setdefault(Path(word), []).append(pid)
    return found
