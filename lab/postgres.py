"""A PostgreSQL of one's own: a fresh cluster on a free port, gone at the end.

As root the server runs as user `postgres` (it refuses root). Nothing in it outlives the machine: fsync is off.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from lab.ports import free_port
from lab.processes import wait_until


class PostgresMissingError(RuntimeError):
    """PostgreSQL's server programs are not installed (Debian: apt-get install postgresql)."""


class Postgres:
    """`with Postgres() as server:` then `server.url` is a DATABASE_URL of an empty database."""

    def __init__(self) -> None:
        self.bin = programs()
        self.home = Path(tempfile.mkdtemp(prefix="ezpg-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/ezstream"

    @property
    def pid(self) -> int:
        """Of the server that all the others descend from."""
        if self._process is None:
            raise ProcessLookupError("PostgreSQL is not running")
        return self._process.pid

    def __enter__(self) -> Self:
        if os.getuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")
        data = ("-D", str(self.home / "data"))
        _run(*_as_postgres(), str(self.bin / "initdb"), *data, "-A", "trust", "-U", "postgres", "-N")
        self.start()
        host = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        _run(str(self.bin / "createdb"), *host, "ezstream")
        return self

    def start(self) -> None:
        """Again, after `kill`: it recovers what was committed."""
        self._process = subprocess.Popen(
            [*_as_postgres(), *self._server(self.home / "data")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        is_ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        # Its port opens before it takes anybody in.
        wait_until(lambda: subprocess.run(is_ready).returncode == 0, "PostgreSQL takes connections", every_s=0.05)

    def kill(self) -> None:
        """«Immediate shutdown»: every connection ends in the middle of what it did."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)

    def _server(self, data: Path) -> list[str]:
        # Without fsync a commit costs a write, and outlives the server (not the machine).
        loose = ("fsync=off", "full_page_writes=off", "max_connections=200")
        options = [part for setting in loose for part in ("-c", setting)]
        listen = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", str(self.home)]
        return [str(self.bin / "postgres"), "-D", str(data), *listen, *options]


def programs() -> Path:
    """Where its server programs are. Raises `PostgresMissingError`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).parent
    raise PostgresMissingError("PostgreSQL is not installed: apt-get install postgresql")


def _as_postgres() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig", "TERM"]


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd="/")
