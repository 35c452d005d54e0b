"""One file per held run, replaced atomically: what an agent needs to take over from the one before it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.protocol import ProtocolError, StartStream, StreamConfig, decode_command, encode

NAME = "journal.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    config: StreamConfig
    said_at: float
    pid: int | None = None
    ticks: int | None = None
    stopping: bool = False
    on_air_since: float | None = None
    failures: int = 0
    hurried: bool = False
    restarts: int = 0


def write_atomically(path: Path, body: dict[str, Any]) -> None:
    """Mode 0600, complete or not at all. The directory must be there."""
    draft = path.with_name(f".{path.name}.draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(body, file, separators=(",", ":"))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def save(run_dir: Path, record: Record) -> None:
    start = StartStream(config=record.config, timestamp=record.said_at)
    body: dict[str, Any] = {
        "start": json.loads(encode(start)),
        "pid": record.pid,
        "ticks": record.ticks,
        "stopping": record.stopping,
        "on_air_since": record.on_air_since,
        "failures": record.failures,
        "hurried": record.hurried,
        "restarts": record.restarts,
    }
    write_atomically(run_dir / NAME, body)


def load(run_dir: Path) -> Record | None:
    """None when there is no journal, or none that can be read."""
    try:
        body = json.loads((run_dir / NAME).read_text(encoding="utf-8"))
        start = decode_command(json.dumps(body["start"]))
        if not isinstance(start, StartStream):
            return None
        return Record(
            config=start.config,
            said_at=start.timestamp,
            pid=_maybe_int(body["pid"]),
            ticks=_maybe_int(body["ticks"]),
            stopping=bool(body["stopping"]),
            on_air_since=None if body["on_air_since"] is None else float(body["on_air_since"]),
            failures=int(body["failures"]),
            # Not written by the agents before 0.2: an upgrade adopts what they left.
            hurried=bool(body.get("hurried", False)),
            restarts=int(body["restarts"]),
        )
    except (OSError, ProtocolError, ValueError, KeyError, TypeError):
        return None


def _maybe_int(value: Any) -> int | None:
    return None if value is None else int(value)
