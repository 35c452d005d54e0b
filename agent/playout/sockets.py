"""The TCP connections of another process of ours, as the kernel tells them in /proc."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TABLES: Final = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
_ESTABLISHED: Final = "01"
_LISTENING: Final = "0A"


@dataclass(frozen=True, slots=True)
class TcpConnection:
    """`waiting`: bytes written to it that the other end's kernel has not acknowledged."""

    peer: str
    established: bool
    waiting: int


def connections(pid: int, proc: Path = Path("/proc")) -> list[TcpConnection]:
    """Those of the process, but for sockets it listens on; none when it is gone."""
    inodes = _inodes(proc / str(pid) / "fd")
    found = []
    for name, family in _TABLES.items():
        for row in _rows(proc / "net" / name) if inodes else ():
            if row[9] in inodes and row[3] != _LISTENING:
                waiting = int(row[4].partition(":")[0], 16)
                found.append(TcpConnection(_address(row[2], family), row[3] == _ESTABLISHED, waiting))
    return found


def _inodes(directory: Path) -> set[str]:
    inodes = set()
    try:
        for entry in os.scandir(directory):
            where = os.readlink(entry.path)
            if where.startswith("socket:["):
                inodes.add(where[8:-1])
    except OSError:
        return set()
    return inodes


def _rows(table: Path) -> list[list[str]]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    return [row for line in lines if len(row := line.split()) > 9]


def _address(text: str, family: int) -> str:
    """The kernel prints each four bytes as one number in the machine's order, which is little-endian."""
    raw = bytes.fromhex(text.partition(":")[0])
    return socket.inet_ntop(family, b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4)))
