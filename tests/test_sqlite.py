"""SQLite, as `bin/dev` has it: a file, several processes that write, the same code as on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROCESSES, TURNS, EACH = 4, 40, 10
ROOM = 1000

LOOK = """
import django; django.setup()
from django.db import connection
with connection.cursor() as cursor:
    for name in ("journal_mode", "busy_timeout", "synchronous"):
        print(cursor.execute(f"PRAGMA {name}").fetchone()[0])
"""
MAKE = f"""
import django; django.setup()
from django.core.management import call_command
from accounts.models import Package, User
call_command("migrate", verbosity=0)
package = Package.objects.create(name="Tiny", max_storage={ROOM}, max_concurrent_streams=1)
print(User.objects.create(email="a@example.org", name="A", package=package).pk)
"""
TAKE = f"""
import django, sys; django.setup()
from django.db import transaction
from accounts import audit, quota
from accounts.models import User
from kit.conflicts import again_on_conflict

@again_on_conflict
@transaction.atomic
def take(user):
    quota.reserve_storage(user.pk, {EACH})
    audit.record(user, "upload", user)

user, won = User.objects.get(pk=int(sys.argv[1])), 0
print("ready", flush=True); sys.stdin.readline()
for _ in range({TURNS}):
    try:
        take(user)
        won += 1
    except quota.OverQuota:
        pass
print(won)
"""


@pytest.fixture
def environ(tmp_path):
    return os.environ | {"DATABASE_URL": f"sqlite:///{tmp_path}/db.sqlite3", "VAR_DIR": str(tmp_path)}


def python(code: str, environ, *args: str) -> list[str]:
    run = [sys.executable, "-c", code, *args]
    return subprocess.run(run, cwd=ROOT, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout.split()


def test_readers_go_on_and_writers_wait_their_turn(environ):
    assert python(LOOK, environ) == ["wal", "20000", "1"]


def test_processes_that_write_at_once_all_get_their_turn_and_never_pass_the_limit(environ):
    [user] = python(MAKE, environ)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKE, user], cwd=ROOT, env=environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    won = [int(worker.communicate()[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    assert sum(won) == ROOM // EACH
    assert TURNS * PROCESSES > ROOM // EACH
