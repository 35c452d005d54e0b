"""Which processes are this agent's: its own, the nursery, the playouts (also those it did not begin), their FFmpegs."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent import procfs
from agent.procfs import Stat
from agent.protocol import ProcessFacts

BETWEEN_SECONDS: Final = 0.5
NURSERY: Final = "agent.playout.nursery"
MOST: Final = 500


async def look(runs_dir: Path, between_s: float = BETWEEN_SECONDS) -> list[ProcessFacts]:
    """As they are over `between_s`; those that come or go meanwhile are left out."""
    before, began = await asyncio.to_thread(_everybody), time.monotonic()
    await asyncio.sleep(between_s)
    after, passed_s = await asyncio.to_thread(_everybody), time.monotonic() - began
    playouts = {pid: run_dir.name for run_dir, pids in procfs.playouts_under(runs_dir).items() for pid in pids}
    ours = belonging(after, {os.getpid(): "", **playouts})
    same = [pid for pid in ours if pid in before and before[pid].ticks == after[pid].ticks]
    return [_facts(pid, ours[pid], pid in playouts, before[pid], after[pid], passed_s) for pid in same[:MOST]]


def belonging(everybody: Mapping[int, Stat], roots: Mapping[int, str]) -> dict[int, str]:
    """By pid, the run each serves: of the roots and of all that descend from them. The nearest root counts."""
    found: dict[int, str] = {}
    for pid in sorted(everybody):
        seen, each = {pid}, pid
        while each not in roots and each in everybody and everybody[each].parent not in seen:
            each = everybody[each].parent
            seen.add(each)
        if each in roots:
            found[pid] = roots[each]
    return found


def _everybody() -> dict[int, Stat]:
    looked = ((pid, procfs.stat(pid)) for pid in procfs.pids())
    return {pid: stat for pid, stat in looked if stat is not None}


def _facts(pid: int, run_id: str, is_playout: bool, before: Stat, after: Stat, passed_s: float) -> ProcessFacts:
    used_s = (after.used_ticks - before.used_ticks) / procfs.TICKS_PER_S
    up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return ProcessFacts(
        pid=pid,
        kind="playout" if is_playout else _kind(pid),
        cpu=round(100 * used_s / passed_s, 1),
        memory=after.memory,
        age_s=round(max(0.0, up_s - after.ticks / procfs.TICKS_PER_S), 1),
        run_id=run_id,
    )


def _kind(pid: int) -> str:
    if pid == os.getpid():
        return "agent"
    words = procfs.command_line(pid)
    if NURSERY in words:
        return "nursery"
    return "ffmpeg" if words and Path(words[0]).name.startswith("ffmpeg") else "other"
