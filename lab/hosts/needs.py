"""What this machine lacks to carry hosts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PROGRAMS: Final = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ssh-keygen": "openssh-client",
    "mkfs.ext4": "e2fsprogs",
    "ip": "iproute2",
}
"""Program → Debian's package."""


class CommandFailedError(RuntimeError):
    """A command of the lab's own failed; the message has what it printed."""


def missing() -> str:
    """Why hosts cannot run here, in words; empty when they can."""
    if os.getuid() != 0:
        return "the lab's hosts need root"
    packages = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if packages:
        return f"the lab's hosts need: apt-get install {' '.join(packages)}"
    if not Path("/etc/apt").is_dir() or not Path("/sys/fs/cgroup").is_dir():
        return "the lab's hosts need a Debian with cgroups"
    return ""


def run(*argv: str | Path, cwd: Path | None = None, given: str | None = None) -> str:
    """What the command printed. `given`: its standard input. Raises CommandFailedError."""
    command = [str(part) for part in argv]
    done = subprocess.run(command, cwd=cwd, input=given, capture_output=True, text=True)
    if done.returncode:
        raise CommandFailedError(f"{_spelled(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def try_run(*argv: str | Path) -> bool:
    """For what may be there or not: whether it worked."""
    return subprocess.run([str(part) for part in argv], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _spelled(command: Sequence[str]) -> str:
    return " ".join(command)
