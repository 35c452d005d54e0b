"""Prepared files on disk, shared by all streams: `KEY-N.flv`, whole once `KEY.json` stands beside it.

The limit counts what is here and what is promised to files on their way. What a held run plays is never
evicted; the rest goes least recently used first. Not thread-safe: belongs to the agent's loop.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.journal import write_atomically

SPARE_DISK: Final = 256 * 1024 * 1024
"""Never filled, whatever the limit says: logs, journals and the system need room."""
PARTS_KEPT: Final = 86_400.0


class NoRoom(Exception):
    """In plain words."""


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    path: Path
    size: int
    duration_s: float | None
    used_at: float


class Cache:
    def __init__(self, directory: Path, limit: int, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._directory = directory
        self._limit = limit
        self._free = free_bytes or (lambda path: shutil.disk_usage(path).free)
        self._entries: dict[str, Entry] = {}
        self._promised: dict[str, int] = {}
        self.held: frozenset[str] = frozenset()

    def open(self, now: float) -> list[Entry]:
        """Reads what is there and clears away what was never finished, but for young parts of downloads."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for sidecar in self._directory.glob("*.json"):
            entry = _read(sidecar)
            if entry is not None:
                self._entries[entry.key] = entry
        whole = {entry.path for entry in self._entries.values()}
        whole |= {self._sidecar(key) for key in self._entries}
        for path in self._directory.iterdir():
            young = path.suffix in (".part", ".source") and now - path.stat().st_mtime < PARTS_KEPT
            if path not in whole and not young:
                path.unlink()
        return sorted(self._entries.values(), key=lambda entry: entry.key)

    def get(self, key: str, now: float) -> Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            os.utime(self._sidecar(key), (now, now))
            entry = Entry(entry.key, entry.path, entry.size, entry.duration_s, now)
            self._entries[key] = entry
        return entry

    def has(self, key: str) -> bool:
        return key in self._entries

    def source(self, key: str) -> Path:
        """Where the file as fetched lies until it is prepared."""
        return self._directory / f"{key}.source"

    def output(self, key: str) -> Path:
        """A name for its prepared file that nothing has used before: the old one may still be on air."""
        return self._directory / f"{key}-{secrets.token_hex(4)}.flv"

    def promise(self, key: str, size: int) -> list[str]:
        """Makes room for a file of `size` bytes and what comes of it. Returns the keys evicted for it."""
        need = 2 * size
        evicted = []
        while self._used() + need > self._limit or self._free(self._directory) - need < SPARE_DISK:
            victim = self._oldest()
            if victim is None:
                raise NoRoom(f"there is no room for it: {need // 1024**2} MiB are needed")
            self.delete(victim)
            evicted.append(victim)
        self._promised[key] = need
        return evicted

    def release(self, key: str) -> None:
        self._promised.pop(key, None)

    def commit(self, key: str, path: Path, duration_s: float | None, now: float) -> Entry:
        """The prepared file is whole: from now on it is found again, also by the next agent."""
        entry = Entry(key, path, path.stat().st_size, duration_s, now)
        sidecar = self._sidecar(key)
        write_atomically(sidecar, {"path": path.name, "size": entry.size, "duration_s": duration_s})
        os.utime(sidecar, (now, now))
        self._entries[key] = entry
        return entry

    def delete(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._sidecar(key).unlink(missing_ok=True)
            entry.path.unlink(missing_ok=True)

    def _used(self) -> int:
        return sum(entry.size for entry in self._entries.values()) + sum(self._promised.values())

    def _oldest(self) -> str | None:
        free = [entry for entry in self._entries.values() if entry.key not in self.held]
        return min(free, key=lambda entry: entry.used_at).key if free else None

    def _sidecar(self, key: str) -> Path:
        return self._directory / f"{key}.json"


def _read(sidecar: Path) -> Entry | None:
    """None for one that is broken, or whose file is not what it says."""
    try:
        body = json.loads(sidecar.read_text(encoding="utf-8"))
        path = sidecar.with_name(Path(body["path"]).name)
        size = path.stat().st_size
        duration = body["duration_s"]
        if size != body["size"] or not isinstance(duration, float | int | None):
            return None
        return Entry(sidecar.stem, path, size, duration, sidecar.stat().st_mtime)
    except (OSError, ValueError, KeyError, TypeError):
        return None
