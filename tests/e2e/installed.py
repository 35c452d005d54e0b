"""The control plane on a host of the lab, as `deploy/ezstream install` puts it there, and how one reaches it."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests

from fleet.provision import apt
from lab.client import Client
from lab.hosts import Host
from lab.product import ROOT

EMAIL: Final = "olga@stream.example"
PASSWORD: Final = "correct horse battery"
SOURCE: Final = "/root/ezstream"
SCRIPT: Final = f"{SOURCE}/deploy/ezstream"


def packages() -> list[str]:
    """Debian's, of a control plane and of a server of its fleet: one image for all who want their hosts ready."""
    return [*_of_the_installer(), *apt.PACKAGES]


def _of_the_installer() -> list[str]:
    parts = ROOT / "deploy" / "parts"
    script = f". {parts}/place.sh; . {parts}/install.sh; unset DATABASE_URL REDIS_URL; wanted_packages"
    return subprocess.run(["sh", "-euc", script], check=True, capture_output=True, text=True).stdout.split()


_OUR_SETTINGS: Final = b"ALLOW_PRIVATE_DESTINATIONS=1\nSSH_TRUST_FIRST_USE=1\nPROVISION_UPGRADE=none\n"


_TUS: Final = {"Tus-Resumable": "1.0.0"}


class Installed:
    """Reached as a browser does that trusts the installation's own authority. `name`: under which people reach it."""

    def __init__(self, host: Host, name: str, folder: Path) -> None:
        self.host = host
        self.name = name
        self.url = f"https://{name}"
        carry_source(host)
        # As an operator may. Destinations of the lab have private addresses.
        host.run(["tee", "-a", f"{SOURCE}/deploy/env.example"], given=_OUR_SETTINGS)
        self.ezstream("install", "--host", name, script=SCRIPT)
        self.authority = folder / f"{host.name}.crt"
        self.authority.write_text(host.run(["cat", "/etc/ezstream-redis/ca.crt"]))

    def ezstream(self, *arguments: str, script: str = "ezstream") -> str:
        try:
            return self.host.run([script, *arguments])
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"ezstream {arguments}: {error.returncode}\n{error.stdout}\n{error.stderr}") from error

    def shell(self, script: str) -> str:
        """What `manage.py shell` prints: what it is given may hold secrets."""
        return self.host.run(["ezstream", "manage", "shell", "--no-imports"], given=script.encode()).strip()

    def get(self, path: str, **headers: str) -> requests.Response:
        with self.session() as session:
            return session.get(self.url + path, headers=headers, timeout=10, allow_redirects=False)

    def session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env, session.verify = False, str(self.authority)
        return session

    def version(self) -> str:
        return str(self.get("/health").json()["version"])

    def is_ready(self) -> bool:
        try:
            return self.get("/health/ready").status_code == 200
        except requests.ConnectionError:
            return False

    def client(self, email: str = EMAIL, password: str = PASSWORD) -> Client:
        return Client(self.url, email, password, verify=str(self.authority))

    def pids(self) -> str:
        return self.host.run(["systemctl", "show", "--property=Id,MainPID", "ezstream@*"])

    def set_version(self, version: str) -> None:
        """Of the source an upgrade is made from."""
        self.host.run(["sed", "-i", f's/^version = .*/version = "{version}"/', f"{SOURCE}/pyproject.toml"])

    def hears(self, name: str) -> bool:
        """Whether this server of the fleet answers it."""
        try:
            return "answered in" in self.ezstream("manage", "fleet_ping", name)
        except AssertionError:
            return False

    def media(self) -> str:
        """All files: whose they are, what is in them."""
        script = "find media -type f | sort | while read -r each; do stat -c '%U %n' $each; sha256sum <$each; done"
        return self.host.run(["sh", "-c", f"cd /var/lib/ezstream && {script}"])

    def begin_upload(self, name: str, length: int) -> tuple[requests.Session, str]:
        """The operator's; where its pieces go (`patch`)."""
        session = self.client().session
        session.headers.update(_TUS | {"X-CSRFToken": session.cookies["csrftoken"], "Referer": self.url})
        told = {"Upload-Length": str(length), "Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()}"}
        answer = session.post(f"{self.url}/library/uploads/", headers=told, timeout=10)
        answer.raise_for_status()
        return session, self.url + answer.headers["Location"]

    @contextmanager
    def tls(self, port: int) -> Iterator[ssl.SSLSocket]:
        context = ssl.create_default_context(cafile=str(self.authority))
        with (
            socket.create_connection((self.name, port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname=self.name) as secure,
        ):
            yield secure

    def upgrade_request(self, path: str, client: Client) -> bytes:
        """For a WebSocket."""
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        lines = (
            f"GET {path} HTTP/1.1", f"Host: {self.name}", f"Origin: {self.url}", f"Cookie: {cookies}",
            "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(b'0123456789abcdef').decode()}",
        )  # fmt: skip
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def patch(session: requests.Session, where: str, offset: int, piece: bytes) -> requests.Response:
    told = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return session.patch(where, data=piece, headers=told, timeout=30)


def carry_source(host: Host) -> None:
    """What a clone has: committed files as they are now."""
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    tar = subprocess.run(["tar", "-cf", "-", "-T", "-"], cwd=ROOT, input=files.stdout, capture_output=True, check=True)
    host.run(["mkdir", "-p", SOURCE])
    host.run(["tar", "-C", SOURCE, "--no-same-owner", "-xf", "-"], given=tar.stdout)


def carry(backup: str, host: Host, other: Host) -> None:
    """A directory, from host to host, to the same place."""
    packed = host.run(["sh", "-c", f"tar -C {backup} -cf - . | base64"])
    other.run(["sh", "-c", f"mkdir -p {backup} && base64 -d | tar -C {backup} -xf -"], given=packed.encode())
