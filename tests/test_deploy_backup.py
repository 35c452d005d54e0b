"""What `ezstream backup` keeps and lets go, and that `restore` does all or nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lab.postgres import Postgres, PostgresMissingError

BACK_UP = 'copy_media() { :; }; dump_database() { echo d >"$1"; }\n'


def test_old_backups_go_and_nothing_of_others(shell, installed, tmp_path):
    """In a directory with a space in its name, among things of others."""
    place, others = tmp_path / "My Backups", {"TV", "Tools.part", "20250101T000000x", "x20250101T000000", "T"}
    for name in [*others, *(f"2025010{day}T000000" for day in range(1, 10)), "20250101T000000.part"]:
        (place / name).mkdir(parents=True)
    (tmp_path / "My").mkdir()
    said = shell(f'{BACK_UP}backup "{place}"', **installed)
    made = Path(said.removeprefix("── backed up to ").strip())
    assert (made / "database.dump").exists()
    kept = {f"2025010{day}T000000" for day in range(4, 10)}
    assert {each.name for each in place.iterdir()} == others | kept | {made.name}
    assert (tmp_path / "My").exists()


def test_a_film_that_is_deleted_meanwhile_ends_no_backup(shell, installed, tmp_path):
    """rsync's 24: «some files vanished before they could be transferred»."""
    lines = 'rsync() { return 24; }; dump_database() { touch "$1"; }\nbackup'
    assert "backed up to" in shell(lines, **installed)
    with pytest.raises(subprocess.CalledProcessError):
        shell(lines.replace("24", "23"), **installed)


@pytest.fixture(scope="module")
def database():
    try:
        server = Postgres()
    except PostgresMissingError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))
    with server:
        yield server


def sql(database: Postgres, words: str) -> str:
    return subprocess.run(
        [str(database.bin / "psql"), "-qAt", "-v", "ON_ERROR_STOP=1", "-c", words, database.url],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


def before_changes(tmp_path: Path, shell, installed, database: Postgres, count: int) -> list[Path]:
    """So many backups of a database that holds «then»; it holds «now» at the end."""
    (tmp_path / "env").write_text(f"SECRET_KEY=s\nFIELD_KEYS=k\nDATABASE_URL={database.url}\n")
    sql(database, "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE t AS SELECT 'then' AS word")
    shell("backup_database_only", **installed)
    folder = tmp_path / "backups" / "before-changes"
    [first] = folder.iterdir()
    made = [first.rename(folder / "20250101T000000")]
    for number in range(1, count):
        made.append(folder / f"20250101T00000{number}")
        made[-1].mkdir()
    sql(database, "UPDATE t SET word = 'now'")
    return made


RESTORE = "manage() { :; }; start() { echo started; }; stop() { :; }; wait_well() { :; }; is_redis_ours() { false; }\n"


def test_the_oldest_backup_there_is_can_be_restored(shell, installed, tmp_path, database):
    oldest = before_changes(tmp_path, shell, installed, database, 7)[0]
    assert "restored from" in shell(f"{RESTORE}restore {oldest}", **installed)
    assert sql(database, "SELECT word FROM t") == "then\n"
    assert oldest.exists()


SPOILT = {
    "the dump is cut off": "truncate -s -40 {dump}",
    "the dump is of something else": "echo x >{dump}",
    "the dump is gone": "rm {dump}",
    "what reads it dies": 'pg_restore() {{ command pg_restore "$@" | head -n 30; return 1; }}',
    "the database refuses a statement": "pg_restore() {{ command pg_restore \"$@\" && echo 'SELECT 1/0;'; }}",
}


@pytest.mark.parametrize("how", SPOILT.values(), ids=SPOILT)
def test_a_database_that_cannot_be_loaded_stays_as_it_is(shell, installed, tmp_path, database, how):
    dump = before_changes(tmp_path, shell, installed, database, 1)[0] / "database.dump"
    lines = f"{RESTORE}sha256sum() {{ :; }}\n{how.format(dump=dump)}\nrestore {dump.parent}"
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(lines, **installed)
    assert "nothing was changed" in failed.value.stderr
    assert failed.value.stdout.endswith("started\n")
    assert sql(database, "SELECT word FROM t") == "now\n"


def test_a_backup_without_its_keys_is_refused_whatever_the_caller_has(
    shell, installed, tmp_path, database, monkeypatch
):
    """Whatever the caller has: what is sealed in it could never be opened again."""
    [only] = before_changes(tmp_path, shell, installed, database, 1)
    kept = (only / "env").read_text().replace("FIELD_KEYS=k\n", "")
    (only / "env").write_text(kept)
    subprocess.run(["sh", "-c", "sha256sum database.dump env VERSION >SHA256SUMS"], cwd=only, check=True)
    monkeypatch.setenv("FIELD_KEYS", "of-somebody-else")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        shell(f"{RESTORE}restore {only}", **installed)
    assert "env names no FIELD_KEYS: nothing was changed" in refused.value.stderr
    assert sql(database, "SELECT word FROM t") == "now\n"
