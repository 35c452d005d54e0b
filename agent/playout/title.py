"""The command line others see of this process (``/proc/PID/cmdline``), changed in place.

A forked playout would show its parent's. The kernel reads it out of the process's own memory, so it can be written
there, within the room the process was started with. Nothing reads it back: Python has its own copy.
"""

from pathlib import Path
from typing import Final

_MEMORY: Final = "/proc/self/mem"
_ARG_START, _ARG_END = 45, 46
"""Fields of /proc/PID/stat, counted from the state on."""


def words() -> list[str]:
    raw = Path("/proc/self/cmdline").read_bytes()
    return [part.decode(errors="surrogateescape") for part in raw.split(b"\0") if part]


def show(command: list[str]) -> bool:
    """Whether it is what others see now; False when there is not enough room, or the kernel does not let us."""
    wanted = b"".join(word.encode(errors="surrogateescape") + b"\0" for word in command)
    try:
        start, end = _place()
        if len(wanted) <= end - start:
            _write(start, wanted.ljust(end - start, b"\0"))
        return words() == command
    except OSError:
        return False


def _place() -> tuple[int, int]:
    fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return int(fields[_ARG_START]), int(fields[_ARG_END])


def _write(at: int, data: bytes) -> None:
    with open(_MEMORY, "r+b", buffering=0) as memory:
        memory.seek(at)
        memory.write(data)
