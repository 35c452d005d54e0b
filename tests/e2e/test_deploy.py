"""The control plane as operators install it: on a bare host, with nginx and TLS; upgraded, restored elsewhere."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import requests

from lab.client import Client
from lab.hosts import Host, Lab
from lab.processes import wait_until
from lab.product import ROOT

pytestmark = pytest.mark.e2e
EMAIL: Final = "olga@stream.example"
PASSWORD: Final = "correct horse battery"
SOURCE: Final = "/root/ezstream"
MEDIA: Final = b"bytes that are no video " * 50_000


class Installed:
    """A host with the control plane on it, and how to reach that as a browser does."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self.url = f"https://{host.address}"
        carry_source(host)
        self.ezstream("install", "--host", host.address)
        self.certificate = folder / f"{host.name}.crt"
        self.certificate.write_text(host.run(["cat", "/etc/ezstream-control/tls.crt"]))

    def ezstream(self, *arguments: str, script: str = f"{SOURCE}/deploy/ezstream") -> str:
        try:
            return self.host.run([script, *arguments])
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"ezstream {arguments}: {error.returncode}\n{error.stdout}\n{error.stderr}") from error

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, verify=str(self.certificate), timeout=10, allow_redirects=False)

    def version(self) -> str:
        return str(self.get("/health").json()["version"])

    def client(self) -> Client:
        return Client(self.url, EMAIL, PASSWORD, verify=str(self.certificate))

    def pids(self) -> str:
        return self.host.run(["systemctl", "show", "--property=Id,MainPID", "ezstream@*"])


def carry_source(host: Host) -> None:
    """What a clone has: committed files as they are now."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    tar = subprocess.run(["tar", "-cf", "-", "-T", "-"], cwd=ROOT, input=files.stdout, capture_output=True, check=True)
    host.run(["mkdir", "-p", SOURCE])
    host.run(["tar", "-C", SOURCE, "--no-same-owner", "-xf", "-"], given=tar.stdout)


@pytest.fixture(scope="module")
def hosts(vps_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Installed]]:
    folder = tmp_path_factory.mktemp("certificates")
    bare = vps_lab.several(["control", "spare"])
    with ThreadPoolExecutor() as pool:
        yield list(pool.map(lambda host: Installed(host, folder), bare))
    for host in bare:
        vps_lab.remove(host)


@pytest.fixture(scope="module")
def control(hosts: list[Installed]) -> Installed:
    control = hosts[0]
    environ = [f"DJANGO_SUPERUSER_{name}" for name in (f"PASSWORD={PASSWORD}", f"EMAIL={EMAIL}", "NAME=Olga")]
    control.host.run(["env", *environ, "ezstream", "manage", "createsuperuser", "--no-input"])
    return control


def test_pages_come_through_nginx_with_tls_and_nothing_else_is_open(control: Installed) -> None:
    plain = requests.get(f"http://{control.host.address}/streams/", timeout=10, allow_redirects=False)
    assert (plain.status_code, plain.headers["Location"]) == (301, f"{control.url}/streams/")
    page = control.get("/account/login/")
    assert page.status_code == 200
    assert "max-age" in page.headers["Strict-Transport-Security"]
    style = next(part for part in page.text.split('"') if part.endswith(".css"))
    assert "immutable" in control.get(style).headers["Cache-Control"]
    for port in (8000, 5432, 6379):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((control.host.address, port), timeout=2)


def test_readiness_names_every_process(control: Installed) -> None:
    ready = json.loads(control.ezstream("health"))
    assert ready["status"] == "ok"
    assert {"database", "queue", "worker", "media", "fleet", "listener", "scheduler", "certificate"} <= {
        name for name, well in ready["checks"].items() if well
    }
    assert "active running" in control.ezstream("status")


def test_an_operator_signs_in_and_a_socket_opens(control: Installed) -> None:
    client = control.client()
    assert client.get("/admin/").status_code == 200
    context = ssl.create_default_context(cafile=str(control.certificate))
    with (
        socket.create_connection((control.host.address, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=control.host.address) as secure,
    ):
        secure.sendall(upgrade_request(control, client).encode())
        assert secure.recv(1024).startswith(b"HTTP/1.1 101 ")


def upgrade_request(control: Installed, client: Client) -> str:
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    lines = (
        "GET /ws/streams HTTP/1.1", f"Host: {control.host.address}", f"Origin: {control.url}", f"Cookie: {cookies}",
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
    )  # fmt: skip
    return "\r\n".join(lines) + "\r\n\r\n"


def test_secrets_can_be_read_by_their_owner_alone(control: Installed) -> None:
    assert control.host.run(["stat", "-c", "%U %G %a", "/etc/ezstream-control/env"]) == "root ezstream-control 640\n"
    assert control.host.run(["stat", "-c", "%a", "/etc/ezstream-control/tls.key"]) == "600\n"
    arguments = control.host.run(["ps", "-eo", "args"])
    settings = control.host.run(["cat", "/etc/ezstream-control/env"])
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL"):
        value = next(line for line in settings.splitlines() if line.startswith(f"{name}=")).partition("=")[2]
        assert len(value) > 20
        assert value not in arguments


def test_agents_reach_redis_by_tls_with_a_certificate_of_our_own(control: Installed) -> None:
    ca = control.host.run(["cat", "/etc/ezstream-redis/ca.crt"])
    assert control.host.run(["stat", "-c", "%U %a", "/etc/ezstream-redis/ca.key"]) == "root 600\n"
    context = ssl.create_default_context(cadata=ca)
    with (
        socket.create_connection((control.host.address, 6380), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=control.host.address) as secure,
    ):
        secure.sendall(b"PING\r\n")
        assert secure.recv(100).startswith(b"-NOAUTH")
    assert control.ezstream("manage", "redis_users", script="ezstream")
    control.host.run(["systemctl", "start", "ezstream-certificates.service"])
    assert "all is well" in control.ezstream("certificates", script="ezstream")
    assert control.host.run(["systemctl", "is-active", "ezstream-certificates.timer"]) == "active\n"


def test_a_second_install_changes_nothing(control: Installed) -> None:
    before = control.pids(), control.host.run(["ls", "/srv/ezstream/releases", "/srv/ezstream/venvs"])
    control.ezstream("install")
    assert (control.pids(), control.host.run(["ls", "/srv/ezstream/releases", "/srv/ezstream/venvs"])) == before


def test_an_upgrade_and_the_way_back(control: Installed) -> None:
    before = control.version()
    set_version(control, "99.1.0")
    control.ezstream("upgrade")
    assert control.version() == "99.1.0"
    control.ezstream("rollback", script="ezstream")
    assert control.version() == before


def test_a_release_that_is_not_well_is_taken_back(control: Installed) -> None:
    before = control.version()
    set_version(control, "99.2.0")
    control.host.run(["sh", "-c", f"echo 'raise SystemExit(3)' >> {SOURCE}/ezstream/asgi.py"])
    with pytest.raises(AssertionError, match="the old release runs"):
        control.ezstream("upgrade")
    assert control.version() == before
    assert "99.2.0" not in control.host.run(["ls", "/srv/ezstream/releases"])
    carry_source(control.host)


def set_version(control: Installed, version: str) -> None:
    control.host.run(["sed", "-i", f's/^version = .*/version = "{version}"/', f"{SOURCE}/pyproject.toml"])


def test_a_backup_is_restored_on_another_host(control: Installed, hosts: list[Installed], tmp_path: Path) -> None:
    spare = hosts[1]
    place = "/var/lib/ezstream/media/ab/file.mp4"
    control.host.run(["sh", "-c", f"mkdir -p $(dirname {place}) && cat >{place}"], given=MEDIA)
    control.ezstream("backup", "/root/backups")
    packed = tmp_path / "backup.b64"
    packed.write_text(control.host.run(["sh", "-c", "tar -C /root/backups -cf - . | base64"]))
    spare.host.run(
        ["sh", "-c", "mkdir /root/backups && base64 -d | tar -C /root/backups -xf -"], given=packed.read_bytes()
    )
    spare.ezstream("restore", spare.host.run(["sh", "-c", "ls -d /root/backups/*"]).strip())
    assert spare.client().get("/admin/").status_code == 200
    digests = [each.host.run(["sha256sum", place]) for each in (control, spare)]
    assert digests[0] == digests[1]
    assert spare.host.run(["stat", "-c", "%U", place]) == "ezstream-control\n"


def test_a_spoilt_backup_is_refused_and_changes_nothing(hosts: list[Installed]) -> None:
    spare = hosts[1]
    spare.host.run(["sh", "-c", "cp -r /root/backups/* /root/spoilt && echo x >> /root/spoilt/database.dump"])
    with pytest.raises(AssertionError, match="no whole backup"):
        spare.ezstream("restore", "/root/spoilt")
    assert spare.get("/health/ready").status_code == 200


def test_it_is_back_by_itself_after_a_reboot(control: Installed) -> None:
    control.host.reboot()
    wait_until(lambda: _answers(control), "ready after a reboot", 30)


def _answers(control: Installed) -> bool:
    try:
        return control.get("/health/ready").status_code == 200
    except requests.ConnectionError:
        return False
