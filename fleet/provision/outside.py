"""How a server is, seen over SSH (FLT-5): asked in one command, read here. Pure.

What it prints is a stranger's word: numbers are checked, words tidied and cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.provision import places, redis_ping
from fleet.provision.lines import tidy
from fleet.provision.step import fields

_SCRIPT: Final = """\
unit() {
  systemctl show --property=ActiveState --property=LoadState --property=Result --property=SubState "$1" 2>/dev/null |
  sort | cut -d = -f 2 | tr '\\n' ' '
}
echo "clock=$(date +%s)"
echo "load=$(cut -d ' ' -f 1-3 /proc/loadavg)"; echo "cores=$(nproc)"
echo "memory_kib=$(grep MemTotal: /proc/meminfo | tr -dc 0-9)"
echo "available_kib=$(grep MemAvailable: /proc/meminfo | tr -dc 0-9)"
work=$(sed -n 's/^EZSTREAM_WORK_DIR=//p' "$3" 2>/dev/null | tr -d "\\"'")
echo "disk_kib=$(df -Pk -- "${work:-$4}" 2>/dev/null | tail -n 1 | tr -s ' ' | cut -d ' ' -f 3,4)"
echo "agent=$(unit "$1")"; echo "nginx=$(unit "$2")"
[ -e /run/reboot-required ] && echo reboot=yes
if [ -r "$3" ]; then
  said=$(timeout 3 python3 -c "$5" "$3" 2>/dev/null); status=$?
  [ "$status" = 124 ] && said="no answer in time"
  echo "redis=$said"
fi
echo end=yes
"""
ARGV: Final = (
    "sh", "-c", _SCRIPT, "look", places.AGENT_UNIT, places.NGINX_UNIT, places.ENVIRONMENT, places.HOME,
    Path(redis_ping.__file__).read_text(),
)  # fmt: skip
OK: Final = "ok"
RUNS: Final = "active"
ABSENT: Final = "not-found"
LONGEST: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_MOST_CORES: Final = 100_000
_CLOCK_STEP_S: Final = 1.0
"""`date` says whole seconds."""


class Nonsense(ValueError):
    """It answered, and not to what it was asked; the text is the beginning of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`clock`: unix seconds. Of what it did not say: None, or empty."""

    clock: float | None = None
    load: str = ""
    """As /proc/loadavg begins: over one, five and fifteen minutes."""
    cores: int | None = None
    memory: float | None = None
    disk: float | None = None
    """Percent of what may be used, where the agent works."""
    agent: str = ""
    nginx: str = ""
    """How systemd calls it: RUNS, ABSENT, or as «failed (exit-code)»."""
    redis: str = ""
    """OK, or why it is not reached from there."""
    needs_reboot: bool = False


def read(output: str) -> Seen:
    """Raises `Nonsense`."""
    found = fields(output)
    if found.get("end") != "yes":
        raise Nonsense(_word(next((line for line in output.splitlines() if line.strip()), "")))
    return Seen(
        clock=_number(found.get("clock")),
        load=_load(found.get("load", "")),
        cores=min(_MOST_CORES, int(_number(found.get("cores")) or 0)) or None,
        memory=_used(_number(found.get("memory_kib")), _number(found.get("available_kib"))),
        disk=_disk(found.get("disk_kib", "")),
        agent=_unit(found.get("agent", "")),
        nginx=_unit(found.get("nginx", "")),
        redis=_word(found.get("redis", "")),
        needs_reboot=found.get("reboot") == "yes",
    )


def clock_offset_s(clock: float, before: float, after: float) -> float:
    """By how much it is ahead at least, when it was read between these two moments of ours."""
    if clock + _CLOCK_STEP_S < before:
        return clock + _CLOCK_STEP_S - before
    return max(0.0, clock - after)


def _number(text: str | None) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text) else None


def _load(text: str) -> str:
    values = [_number(part) for part in text.split()]
    return " ".join(f"{value:.2f}" for value in values if value is not None) if len(values) == 3 else ""


def _used(total: float | None, available: float | None) -> float | None:
    return (1 - min(total, available) / total) * 100 if total and available is not None else None


def _disk(text: str) -> float | None:
    """As `df` reckons it: what is kept for root is nobody's room."""
    numbers = [_number(part) for part in text.split()]
    if len(numbers) != 2 or None in numbers:
        return None
    used, free = (number or 0.0 for number in numbers)
    return used / (used + free) * 100 if used + free else None


def _unit(text: str) -> str:
    """In the order the script sorts them into."""
    parts = _word(text).split()
    if len(parts) != 4:
        return ""
    active, loaded, result, sub = parts
    if loaded == ABSENT or active == RUNS:
        return ABSENT if loaded == ABSENT else RUNS
    more = ", ".join(word for word in (sub, result) if word not in (active, "success"))
    return f"{active} ({more})" if more else active


def _word(text: str) -> str:
    return tidy(text).strip()[:LONGEST]
