"""Programs that read uploads: their bytes are hostile, so each runs with limits and at low priority."""

from __future__ import annotations

import subprocess
from typing import Final

_MEMORY: Final = 4 * 1024**3


class TookTooLong(Exception):
    """The program did not end within its time."""


def limited(arguments: list[str], limit_s: int) -> list[str]:
    """The same program under caps on memory and processor time, without core dumps.

    By `prlimit` and not by a function between fork and exec: that may deadlock in a worker with threads.
    """
    caps = [f"--as={_MEMORY}", f"--cpu={limit_s}", "--core=0"]
    return ["prlimit", *caps, "--", "nice", "-n", "10", *arguments]


def run(arguments: list[str], limit_s: int) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end, killed after `limit_s` seconds (then raises TookTooLong)."""
    try:
        return subprocess.run(
            limited(arguments, limit_s),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TookTooLong(arguments[0]) from error
