"""The control plane as operators install it, with nginx and TLS; a server of its fleet on air; upgraded, moved.

Three hosts: the control plane's, one it moves to, one that carries a stream. They have the Debian packages from the
start: what is shown is ours, not apt's.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from agent.tests import clips
from lab.hosts import Host, Lab
from lab.hosts.needs import run
from lab.processes import wait_until
from lab.receiver import Publish, Receiver
from tests.e2e.installed import EMAIL, PASSWORD, SCRIPT, SOURCE, Installed, carry, carry_source, packages, patch

pytestmark = pytest.mark.e2e
APP: Final = "platform"
PIECE: Final = 8 * 1024**2
PROCESSES: Final = {
    f"ezstream@{name}.service" for name in ("web", "worker", "media", "fleet", "listener", "scheduler", "tunnels")
}


@pytest.fixture(scope="module")
def hosts(vps_lab: Lab) -> Iterator[list[Host]]:
    made = vps_lab.several(["control", "spare", "server"], packages=packages())
    yield made
    for host in made:
        vps_lab.remove(host)


@pytest.fixture(scope="module")
def control(hosts: list[Host], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """With an operator."""
    control = Installed(hosts[0], hosts[0].address, tmp_path_factory.mktemp("authority"))
    environ = [f"DJANGO_SUPERUSER_{name}" for name in (f"PASSWORD={PASSWORD}", f"EMAIL={EMAIL}", "NAME=Olga")]
    control.host.run(["env", *environ, "ezstream", "manage", "createsuperuser", "--no-input"])
    return control


@pytest.fixture(scope="module")
def spare(hosts: list[Host], control: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Under the same name: people know one, wherever it leads."""
    return Installed(hosts[1], control.name, tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def platform(vps_lab: Lab) -> Iterator[Receiver]:
    with Receiver(vps_lab.address) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(hosts: list[Host], control: Installed) -> Host:
    """In the fleet by the one command of the operator's page."""
    page = control.client().post("/admin/fleet/enrolment/new/", {"name": "fra-1", "region": "", "max_streams": "4"})
    words = unescape(re.search(r'id="command"[^>]*>([^<]+)<', page.text)[1])  # type: ignore[index]
    said = hosts[2].run(["sh", "-c", f"cd /; ( {words} ) 2>&1; echo code $?"])
    assert said.endswith("EZStream: this server is in the fleet\ncode 0\n"), said
    return hosts[2]


@pytest.fixture(scope="module")
def on_air(control: Installed, server: Host, platform: Receiver) -> Publish:
    """The demo's channel, on the server."""
    options = ["--agents", "0", "--demo", "--clip-seconds", "6", "--ingest", platform.url(APP)]
    demo = json.loads(control.ezstream("manage", "demo_prepare", *options).splitlines()[-1])
    stream = f"/streams/{demo['stream_id']}"
    person(control, demo).post(f"{stream}/start")
    wait_until(lambda: any(publish.frames for publish in platform.of(APP)), "it is on air", 30)
    [publish] = platform.of(APP)
    return publish


def person(installed: Installed, demo: dict[str, Any]) -> Any:
    user = next(each for each in demo["people"] if each["role"] == "User")
    return installed.client(user["email"], user["password"])


def goes_on(publish: Publish) -> None:
    """The same connection, and more through it."""
    before = len(publish.arrivals)
    wait_until(lambda: len(publish.arrivals) > before + 50, "the stream goes on", 20)
    assert publish.closed_at is None


# ------------------------------------------------------------------------------------------------ installed


def test_pages_come_through_nginx_with_tls_and_nothing_else_is_open(control: Installed) -> None:
    plain = requests.get(f"http://{control.name}/streams/", timeout=10, allow_redirects=False)
    assert (plain.status_code, plain.headers["Location"]) == (301, f"{control.url}/streams/")
    page = control.get("/account/login/")
    assert page.status_code == 200
    assert "max-age" in page.headers["Strict-Transport-Security"]
    style = next(part for part in page.text.split('"') if part.endswith(".css"))
    assert "immutable" in control.get(style).headers["Cache-Control"]
    assert control.get("/protected-media/").status_code == 404
    for port in (8000, 5432, 6379):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((control.name, port), timeout=2)


def test_readiness_names_every_process(control: Installed) -> None:
    ready = json.loads(control.ezstream("health"))
    assert ready["status"] == "ok"
    assert {"database", "queue", "worker", "media", "fleet", "listener", "scheduler", "certificate"} <= {
        name for name, well in ready["checks"].items() if well
    }


def test_service_verbs(control: Installed) -> None:
    assert "install --host NAME" in control.ezstream("help")
    with pytest.raises(AssertionError, match="there is no «dance»"):
        control.ezstream("dance")
    assert running(control) == PROCESSES
    before = control.pids()
    control.ezstream("stop")
    assert not running(control)
    with pytest.raises(AssertionError, match="502"):
        control.ezstream("health")
    away = control.get("/streams/")
    assert (away.status_code, away.headers["Retry-After"]) == (502, "5")
    control.ezstream("start")
    wait_until(control.is_ready, "started", 30)
    control.ezstream("restart")
    wait_until(control.is_ready, "started again", 30)
    assert not set(before.splitlines()) & {line for line in control.pids().splitlines() if line.startswith("MainPID")}


def running(control: Installed) -> set[str]:
    lines = control.ezstream("status").splitlines()
    return {line.split()[0] for line in lines if line.startswith("ezstream@") and "active running" in line}


def test_an_operator_signs_in_and_a_socket_opens(control: Installed) -> None:
    client = control.client()
    assert client.get("/admin/").status_code == 200
    with control.tls(443) as socket_:
        socket_.sendall(control.upgrade_request("/ws/streams", client))
        assert socket_.recv(1024).startswith(b"HTTP/1.1 101 ")


def test_secrets_can_be_read_by_their_owner_alone(control: Installed) -> None:
    assert control.host.run(["stat", "-c", "%U %G %a", "/etc/ezstream-control/env"]) == "root root 600\n"
    for user in ("www-data", "ezstream-control"):
        said = control.host.run(["sh", "-c", f"runuser -u {user} -- cat /etc/ezstream-control/env 2>&1; echo $?"])
        assert said.endswith("Permission denied\n1\n")
    assert control.host.run(["stat", "-c", "%a", "/etc/ezstream-control/tls.key"]) == "600\n"
    assert control.host.run(["stat", "-c", "%U %a", "/etc/ezstream-redis/ca.key"]) == "root 600\n"
    arguments = control.host.run(["ps", "-eo", "args"])
    settings = control.host.run(["cat", "/etc/ezstream-control/env"])
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
        value = next(line for line in settings.splitlines() if line.startswith(f"{name}=")).partition("=")[2].strip('"')
        assert len(value) > 20
        assert value not in arguments


def test_the_shell_and_systemd_read_the_same_setting(control: Installed) -> None:
    value = """a&b;c $d `e` "f" 'g' \\h #i"""
    parts, place = "/srv/ezstream/current/deploy/parts/place.sh", "SETTINGS=/root/odd"
    control.host.run(["sh", "-euc", f'. {parts}; {place}; touch /root/odd; set_setting ODD "$1"', "-", value])
    assert control.host.run(["sh", "-euc", f". {parts}; {place}; setting ODD"]) == value
    unit = ["systemd-run", "-q", "--wait", "--pipe", "-p", "EnvironmentFile=/root/odd"]
    assert control.host.run([*unit, "sh", "-c", 'printf %s "$ODD"']) == value


def test_agents_reach_redis_by_tls_with_a_certificate_of_our_own(control: Installed) -> None:
    with control.tls(6380) as socket_:
        socket_.sendall(b"PING\r\n")
        assert socket_.recv(100).startswith(b"-NOAUTH")
    control.host.run(["systemctl", "start", "ezstream-certificates.service"])
    assert "all is well" in control.ezstream("certificates")
    assert control.host.run(["systemctl", "is-active", "ezstream-certificates.timer"]) == "active\n"


def test_a_certificate_that_is_made_anew_is_shown_at_once(control: Installed) -> None:
    before = shown(control, 443)
    control.host.run(["rm", "/etc/ezstream-redis/server.crt"])
    assert "made server.crt" in control.ezstream("certificates")
    wait_until(lambda: before != shown(control, 443) == shown(control, 6380), "both show the new one", 10)


def shown(control: Installed, port: int) -> bytes | None:
    with control.tls(port) as socket_:
        return socket_.getpeercert(binary_form=True)


def test_a_second_install_changes_nothing(control: Installed) -> None:
    before = control.pids(), control.host.run(["ls", "/srv/ezstream/releases", "/srv/ezstream/venvs"])
    control.ezstream("install", script=SCRIPT)
    assert (control.pids(), control.host.run(["ls", "/srv/ezstream/releases", "/srv/ezstream/venvs"])) == before


# ------------------------------------------------------------------------------------------------ media


def test_an_upload_in_pieces_and_its_bytes_from_nginx(control: Installed, tmp_path: Path) -> None:
    """A piece that is too large is refused by nginx; the file comes back in ranges by the URL that agents are given."""
    video = (
        *clips.X264,
        "-b:v",
        "24M",
        "-minrate",
        "24M",
        "-maxrate",
        "24M",
        "-bufsize",
        "1M",
        "-x264-params",
        "nal-hrd=cbr",
    )
    whole = clips.make(tmp_path / "long.mp4", seconds=4, video=video).read_bytes()
    assert PIECE < len(whole) < 2 * PIECE
    session, where = control.begin_upload("long.mp4", len(whole))
    too_large = patch(session, where, 0, bytes(PIECE + 2 * 1024**2))
    assert (too_large.status_code, "nginx" in too_large.text) == (413, True)
    for start in range(0, len(whole), PIECE):
        assert patch(session, where, start, whole[start : start + PIECE]).status_code == 204
    wait_until(lambda: signed_url(control, "long.mp4"), "it was looked at", 30, every_s=0.5)
    path = signed_url(control, "long.mp4").removeprefix(control.url)
    assert control.get(path).content == whole, "by nginx: without, we give 8 MiB at most"
    begin = len(whole) - 1000
    part = control.get(path, Range=f"bytes={begin}-")
    assert (part.status_code, part.content) == (206, whole[begin:])
    assert part.headers["Content-Range"] == f"bytes {begin}-{len(whole) - 1}/{len(whole)}"
    assert control.get(f"{path[:-4]}xyz/").status_code == 403


_SIGNED: Final = """
from media_library.actions.links import download_url
from media_library.models import VideoFile
for file in VideoFile.objects.filter(original_name={name!r}, status="completed"):
    print(download_url(file))
"""


def signed_url(control: Installed, name: str) -> str:
    return control.shell(_SIGNED.format(name=name))


# ------------------------------------------------------------------------------------------------ its fleet


def test_a_server_of_the_fleet_sends_to_a_platform(control: Installed, on_air: Publish, server: Host) -> None:
    """Commands by TLS from our Redis, media by https from our nginx: with no certificate but our own."""
    assert "answered in" in control.ezstream("manage", "fleet_ping", "fra-1")
    told = server.run(["cat", "/etc/ezstream/agent.env"])
    assert f"@{control.name}:6380" in told
    assert f"EZSTREAM_TRUSTED_HOSTS={control.name}\n" in told
    assert "PLAIN_HTTP" not in told
    goes_on(on_air)
    assert on_air.steps_back() == 0
    fetched = control.host.run(["grep", "-c", "GET /library/download/.* 206 ", "/var/log/nginx/access.log"])
    assert int(fetched) >= 3


_PROVISION: Final = """
from fleet import actions
from fleet.models import Vps
vps = Vps.objects.get(name="fra-1")
vps.set_password({password!r})
vps.save(update_fields=["sealed_password"])
actions.provision(vps, None)
"""
_PROVISIONED: Final = """
from fleet.models import ProvisionRun
run = ProvisionRun.objects.get()
if run.is_over:
    print(run.status, run.reason, *run.steps.filter(status="CHANGED").values_list("name", flat=True))
"""


def test_its_own_worker_reaches_servers_by_ssh(control: Installed, server: Host, on_air: Publish) -> None:
    """Held to little by its unit, it can provision: the server that came by itself, whose agent goes on."""
    control.shell(_PROVISION.format(password=server.password))
    wait_until(lambda: control.shell(_PROVISIONED), "it is provisioned", 60, every_s=0.5)
    status, *changed = control.shell(_PROVISIONED).split()
    assert status == "DONE", changed
    assert "firewall" in changed
    assert not {"bundle", "configuration", "service"} & set(changed)
    goes_on(on_air)


# ------------------------------------------------------------------------------------------------ upgraded


def test_an_upgrade_and_the_way_back(control: Installed, on_air: Publish) -> None:
    before = control.version()
    control.set_version("99.1.0")
    site = "s/server_tokens off;/server_tokens off; add_header X-Site new;/"
    control.host.run(["sed", "-i", site, f"{SOURCE}/deploy/nginx-site.conf"])
    control.host.run(["sh", "-c", f"echo 'extra: sleep infinity' >>{SOURCE}/Procfile"])
    control.ezstream("upgrade", script=SCRIPT)
    assert running(control) == PROCESSES | {"ezstream@extra.service"}
    assert (control.version(), control.get("/health").headers["X-Site"]) == ("99.1.0", "new")
    control.ezstream("rollback")
    assert running(control) == PROCESSES
    assert (control.version(), control.get("/health").headers.get("X-Site")) == (before, None)
    goes_on(on_air)


@pytest.mark.long
@pytest.mark.parametrize(
    "entry", ["ezstream/asgi.py", "ezstream/worker.py", "fleet/management/commands/redis_tunnels.py"]
)
def test_a_release_whose_process_dies_at_import_is_taken_back(control: Installed, on_air: Publish, entry: str) -> None:
    before = control.version()
    control.set_version("99.2.0")
    control.host.run(["sh", "-c", f"echo 'raise SystemExit(3)' >> {SOURCE}/{entry}"])
    with pytest.raises(AssertionError, match="the old release is in use again and well"):
        control.ezstream("upgrade", script=SCRIPT)
    assert control.version() == before
    assert "99.2.0" not in control.host.run(["ls", "/srv/ezstream/releases"])
    carry_source(control.host)
    goes_on(on_air)


def test_it_is_back_by_itself_after_a_reboot(control: Installed, on_air: Publish) -> None:
    control.host.reboot()
    wait_until(control.is_ready, "ready after a reboot", 30)
    goes_on(on_air)


# ------------------------------------------------------------------------------------------------ moved


@pytest.mark.long
def test_a_spoilt_backup_is_refused_and_changes_nothing(control: Installed, spare: Installed) -> None:
    control.ezstream("backup", "/root/backups")
    carry("/root/backups", control.host, spare.host)
    spare.host.run(["sh", "-c", "cp -r /root/backups/* /root/spoilt && echo x >> /root/spoilt/database.dump"])
    with pytest.raises(AssertionError, match="no whole backup"):
        spare.ezstream("restore", "/root/spoilt")
    assert json.loads(spare.ezstream("health"))["status"] == "ok"


@pytest.mark.long
def test_it_moves_to_another_host_and_its_fleet_with_it(
    control: Installed, spare: Installed, server: Host, on_air: Publish
) -> None:
    """The backup is restored there, the name leads there: accounts, media and fleet; the stream never went."""
    control.ezstream("stop")
    control.ezstream("backup", "/root/moved")
    carry("/root/moved", control.host, spare.host)
    spare.ezstream("restore", spare.host.run(["sh", "-c", "ls -d /root/moved/*"]).strip())
    assert spare.media() == control.media()
    control.host.power_off()
    spare.host.run(["ip", "address", "add", f"{control.name}/24", "dev", "host0"])
    forget = ["ip", "neigh", "flush", "to", control.name]
    run(*forget)
    server.run(forget)
    spare.authority.write_text(control.authority.read_text())
    assert spare.client().get("/admin/").status_code == 200
    wait_until(lambda: spare.hears("fra-1"), "the server found it", 60, every_s=0.5)
    goes_on(on_air)
    assert on_air.max_gap_s() < 5.0
