"""`bin/test`: lint, types, migrations and tests, on servers of their own. Stops at the first stage that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from lab.postgres import Postgres
from lab.product import ROOT

PYTHON = sys.executable
PYTEST = [PYTHON, "-m", "pytest", "-q"]
DJANGO_APPS = ("streams", "fleet", "media_library", "ops", "accounts")
# Any values do: these stages import the settings and touch no server.
SETTINGS = {
    "SECRET_KEY": "only-for-checks-" + "x" * 50,
    "FIELD_KEYS": "t1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DATABASE_URL": "sqlite://:memory:",
}
CODE_CHECKS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "."))


def main(arguments: Sequence[str]) -> int:
    if arguments:
        return stage("pytest", [PYTHON, "-m", "pytest", *arguments], {})
    stages = [check_code, check_migrations, test_on_sqlite, test_beside_servers]
    return next((code for check in stages if (code := check())), 0)


def check_code() -> int:
    codes = (stage(" ".join(command), [PYTHON, "-m", *command], SETTINGS) for command in CODE_CHECKS)
    return next((code for code in codes if code), 0)


def check_migrations() -> int:
    command = [PYTHON, "manage.py", "makemigrations", "--check", "--dry-run"]
    return stage("makemigrations --check", command, SETTINGS)


def by_workers(number: int) -> list[str]:
    """More than there are cores: much of it waits. A file's tests stay with one, in the order of `testpaths`."""
    return [*PYTEST, "-n", str(number), "--dist", "loadfile", "--no-loadscope-reorder"]


def test_on_sqlite() -> int:
    return stage("tests on SQLite", [*by_workers(4), "-m", "not e2e"], {})


def test_on_postgres() -> int:
    with Postgres() as server:
        command = [*by_workers(3), "-m", "not e2e", *DJANGO_APPS]
        return stage("tests on PostgreSQL", command, {"DATABASE_URL": server.url})


def test_end_to_end() -> int:
    return stage("end to end", [*PYTEST, "-m", "e2e and not lab"], {})


def test_beside_servers() -> int:
    """What is left, with the tests on servers of the lab beside it, which mostly wait."""
    with ThreadPoolExecutor() as pool, tempfile.TemporaryFile("w+") as said:
        on_servers = pool.submit(stage, "servers of the lab", [*PYTEST, "-m", "e2e and lab and not long"], {}, said)
        here = test_on_postgres() or test_end_to_end()
        there = on_servers.result()
        said.seek(0)
        print(said.read(), flush=True)
    return here or there


def stage(name: str, command: Sequence[str], env: Mapping[str, str], to: IO[str] = sys.stdout) -> int:
    print(f"── {name}", file=to, flush=True)
    started = time.monotonic()
    code = subprocess.run(list(command), cwd=ROOT, env=os.environ | env, stdout=to, stderr=subprocess.STDOUT).returncode
    seconds = time.monotonic() - started
    print(f"── {name}: {'failed' if code else 'passed'} ({seconds:.0f} s)\n", file=to, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
