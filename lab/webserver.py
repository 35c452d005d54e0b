"""A real Daphne with a database of its own, that can be killed and started again: the web process alone."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from pathlib import Path

import requests

from lab.ports import free_port
from lab.processes import wait_until
from lab.product import ROOT

SETUP = """
import django; django.setup()
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.conf import settings
from accounts.models import User
user = User.objects.create(email="uploader@example.org", name="Ulla Uploader", password="!")
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session.save()
print(session.session_key)
"""


class WebServer:
    """Daphne on a free loopback port with everything it writes under `home`."""

    def __init__(self, home: Path, redis_url: str) -> None:
        self.port = free_port()
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "ezstream.settings",
            "DATABASE_URL": f"sqlite:///{home / 'db.sqlite3'}",
            "REDIS_URL": redis_url,
            "VAR_DIR": str(home),
            "SITE_URL": self.url,
            "SECRET_KEY": "test-only-" + "y" * 50,
            "FIELD_KEYS": "t1:" + base64.b64encode(bytes(range(32))).decode(),
            "DEBUG": "1",
            "LOG_LEVEL": "WARNING",
            "PYTHONPATH": str(ROOT),
        }
        home.mkdir(parents=True, exist_ok=True)

    def prepare(self) -> str:
        """Makes the database and a user; returns the key of a session in which they are signed in."""
        self.python("manage.py", "migrate", "-v0")
        return self.python("-c", SETUP).strip()

    def python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def start(self, limit_s: float = 20.0) -> None:
        command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "-v", "0", "ezstream.asgi:application"], env=self.environment, cwd=ROOT
        )
        wait_until(self._answers, "Daphne answers", limit_s)

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise ChildProcessError("Daphne ended while it started")
        try:
            return requests.get(self.url + "/library/", timeout=2, allow_redirects=False).status_code < 500
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def memory_mb(self) -> float:
        """Resident memory of the web process, in MB of 10^6 bytes; the highest it ever was."""
        if self.process is None:
            raise ProcessLookupError("Daphne is not running")
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) * 1024 / 1e6


class Browser(requests.Session):
    """A signed-in client that speaks tus."""

    def __init__(self, server: WebServer, session_key: str) -> None:
        super().__init__()
        self.server = server
        self.cookies.set("sessionid", session_key)
        self.cookies.set("csrftoken", "c" * 32)
        self.headers.update({"Tus-Resumable": "1.0.0", "X-CSRFToken": "c" * 32, "Origin": server.url})

    def create(self, name: str, length: int) -> str:
        named = f"filename {base64.b64encode(name.encode()).decode()}"
        headers = {"Upload-Length": str(length), "Upload-Metadata": named}
        answer = self.post(f"{self.server.url}/library/uploads/", headers=headers, timeout=30)
        answer.raise_for_status()
        return self.server.url + answer.headers["Location"]

    def offset(self, url: str) -> int:
        answer = self.head(url, timeout=30)
        answer.raise_for_status()
        return int(answer.headers["Upload-Offset"])

    def chunk(self, url: str, offset: int, data: bytes) -> requests.Response:
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        return self.patch(url, data=data, headers=headers, timeout=60)
