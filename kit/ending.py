"""The last phase of an ending: whatever still hangs, the process is gone before its supervisor loses patience."""

from __future__ import annotations

import os
import threading
from typing import Final

import structlog

log = structlog.get_logger(__name__)
LIMIT_S: Final = 7.5
"""Of the eight seconds a process may take to end (OPS-6)."""


def end_within(seconds: float = LIMIT_S) -> None:
    """Starts the clock. What is cut off then is as safe as after a power cut: transactions are not committed, jobs are
    not acknowledged."""
    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log.error("process.cut_off", seconds=LIMIT_S)
    os._exit(1)
