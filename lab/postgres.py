"""A PostgreSQL of one's own: a fresh cluster on a free port, gone at the end.

As root the server runs as user `postgres` (it refuses root); durability is off, nothing in it is to be kept.
"""

from __future__ import annotations

import os
import shutil
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
        self.bin = _programs()
        self.home = Path(tempfile.mkdtemp(prefix="ezpg-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/ezstream"

    def __enter__(self) -> Self:
        data = self.home / "data"
        if os.getuid() == 0:
            shutil.chown(self.home, "postgres", "postgres")
        _run(*_as_postgres(), str(self.bin / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres", "-N")
        self._process = subprocess.Popen(
            [*_as_postgres(), *self._server(data)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        host = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        ready = [str(self.bin / "pg_isready"), "-q", *host]  # its port is open before it takes anybody
        wait_until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL takes connections")
        _run(str(self.bin / "createdb"), *host, "ezstream")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)

    def _server(self, data: Path) -> list[str]:
        loose = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")
        options = [part for setting in loose for part in ("-c", setting)]
        listen = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", str(self.home)]
        return [str(self.bin / "postgres"), "-D", str(data), *listen, *options]


def _programs() -> Path:
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
