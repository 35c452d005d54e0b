"""A control group per host, in each hierarchy systemd works with: the unified one, and its own where both are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Where groups are made; the first is the unified one, which can freeze."""
    if (_ROOT / "cgroup.controllers").exists():
        return [_ROOT]
    return [path for path in (_ROOT / "unified", _ROOT / "systemd") if path.is_dir()]


def make(name: str) -> list[Path]:
    """The files a process writes its id to, to be in the group."""
    groups = [root / name for root in hierarchies()]
    for group in groups:
        group.mkdir(exist_ok=True)
    return [group / "cgroup.procs" for group in groups]


def freeze(name: str, frozen: bool) -> None:
    (hierarchies()[0] / name / "cgroup.freeze").write_text("1" if frozen else "0")


def is_frozen(name: str) -> bool:
    events = (hierarchies()[0] / name / "cgroup.events").read_text().split()
    return events[events.index("frozen") + 1] == "1"


def remove(name: str) -> bool:
    """Whether it is gone; it is not while a process in it still ends."""
    for root in hierarchies():
        for group in _deepest_first(root / name):
            with contextlib.suppress(OSError):
                group.rmdir()
    return not any((root / name).exists() for root in hierarchies())


def named(prefix: str) -> set[str]:
    return {path.name for root in hierarchies() for path in root.glob(f"{prefix}*")}


def _deepest_first(top: Path) -> Iterator[Path]:
    return (Path(place) for place, _, _ in os.walk(top, topdown=False))
