"""The whole product as processes on one machine: what `bin/dev`, the end-to-end tests and the benches start."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import imageio_ffmpeg

from lab.platform import APPS, ingest_url
from lab.processes import Child, Supervisor, wait_until
from lab.valkey import Valkey

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHON: Final = sys.executable


@dataclass
class Plan:
    """What to start, and where. Ports must be free."""

    home: Path
    web_port: int
    rtmp_port: int
    platform_port: int
    address: str = "127.0.0.1"
    """Where the pages are; another than loopback's for servers of the lab."""
    agents: int = 1
    demo: bool = True
    clip_seconds: int = 20
    start_demo: bool = True
    ingest: dict[str, str] | None = None
    """Where the demo channel pushes to, by name; None: to a demo platform of our own."""
    record: bool = False
    echo: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """What is set in it wins over what is made here: DATABASE_URL and REDIS_URL switch to real servers."""
    agent_environ: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The same for one agent, by its name (`agent1`, …)."""


class Product:
    """`with Product(plan) as product:` runs it; `product.facts` is what `manage.py demo_prepare` printed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.url = f"http://{plan.address}:{plan.web_port}"
        self.platform_url = f"http://127.0.0.1:{plan.platform_port}"
        self.ingest = plan.ingest or {app: ingest_url(app, plan.rtmp_port) for app in APPS}
        self.facts: dict[str, Any] = {}
        self.supervisor = Supervisor(plan.home / "logs", echo=plan.echo)
        self._valkey: Valkey | None = None
        self.env: dict[str, str] = {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        (self.plan.home / "media").mkdir(parents=True, exist_ok=True)
        self.plan.home.chmod(0o700)
        self.env = kept_secrets(self.plan.home) | self._surroundings() | dict(self.plan.environ)
        if "REDIS_URL" not in self.env:
            self.env["REDIS_URL"] = self._start_valkey()
        if self.plan.ingest is None:
            self._start_platform()
        self._start_web()
        self.facts = self._prepare()
        self._start_control()
        self._start_agents()
        if self.plan.demo and self.plan.start_demo:
            command = [PYTHON, "manage.py", "demo_start", str(self.facts["stream_id"])]
            self.supervisor.start(Child("demo", command, self.env, ROOT, restart=False))
        wait_until(self.is_up, f"{self.url} answers", limit_s=30)

    def stop(self) -> None:
        self.supervisor.stop()
        if self._valkey is not None:
            self._valkey.stop()

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310 (our own)
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def manage(self, *args: str) -> str:
        """Runs a management command and returns what it printed. Its warnings are not for who waits for the banner."""
        env = self.env | {"LOG_LEVEL": "ERROR"}
        command = [PYTHON, "manage.py", *args]
        return subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout

    # ------------------------------------------------------------------------------------------- the parts

    def _surroundings(self) -> dict[str, str]:
        return {
            "DEBUG": "1",
            "LOG_FORMAT": "line",
            "SITE_URL": self.url,
            "ALLOWED_HOSTS": f"localhost,{self.plan.address}",
            "VAR_DIR": str(self.plan.home),
            "FFMPEG": ffmpeg(),
            "ALLOW_PRIVATE_DESTINATIONS": "1",
            "DEMO_PLATFORM_URL": self.platform_url,
            "EMAIL_URL": f"filemail:///{quote(str(self.plan.home))}/mail",
            # Dramatiq's Redis consumer polls; when idle it sleeps up to this long (ms), which a Start has to wait.
            "dramatiq_worker_timeout": "100",
        }

    def _start_valkey(self) -> str:
        self._valkey = Valkey((self.plan.home / "valkey").resolve())
        self._valkey.start()
        return self._valkey.url

    def _start_platform(self) -> None:
        ports = ["--rtmp-port", str(self.plan.rtmp_port), "--http-port", str(self.plan.platform_port)]
        record = ["--record"] if self.plan.record else []
        home = str(self.plan.home / "platform")
        self._python("platform", "-m", "lab.platform", home, *ports, *record, "--ffmpeg", self.env["FFMPEG"])

    def _start_web(self) -> None:
        bind = ["-b", self.plan.address, "-p", str(self.plan.web_port)]
        self._python("web", "-m", "daphne", "--verbosity", "0", *bind, "ezstream.asgi:application")

    def _prepare(self) -> dict[str, Any]:
        printed = self.manage("demo_prepare", "--agents", str(self.plan.agents), *self._demo_options())
        facts: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return facts

    def _demo_options(self) -> list[str]:
        if not self.plan.demo:
            return []
        ingest = [f"--ingest={url}" for url in self.ingest.values()]
        return ["--demo", *ingest, "--clip-seconds", str(self.plan.clip_seconds)]

    def _start_control(self) -> None:
        self._python("listener", "manage.py", "stream_listen")
        self._start_worker("worker", queue="default", threads=4)
        self._start_worker("media", queue="media", threads=2)
        self._start_worker("fleet", queue="fleet", threads=4)
        self._python("scheduler", "manage.py", "run_scheduler")

    def _start_worker(self, name: str, queue: str, threads: int) -> None:
        options = ["--processes", "1", "--threads", str(threads), "--queues", queue]
        options += ["--worker-shutdown-timeout", "5000"]
        self._python(name, "-m", "dramatiq", "ezstream.worker", *options)

    def _start_agents(self) -> None:
        for number, each in enumerate(self.facts["agents"], start=1):
            self.start_agent(f"agent{number}", each["vps_id"], each["redis_url"])

    def start_agent(self, name: str, vps_id: int, redis_url: str) -> Child:
        """`redis_url` with the user of this VPS alone."""
        host = f"{self.plan.address}:{self.plan.web_port}"
        env = {
            "EZSTREAM_REDIS_URL": redis_url,
            "EZSTREAM_VPS_ID": str(vps_id),
            "EZSTREAM_WORK_DIR": str(self.plan.home / name),
            "EZSTREAM_TRUSTED_HOSTS": host,
            "EZSTREAM_PLAIN_HTTP_HOSTS": host,
            "EZSTREAM_FFMPEG": self.env["FFMPEG"],
            "EZSTREAM_ALLOW_PRIVATE_DESTINATIONS": "1",
            "EZSTREAM_ON_EXIT": "stop",
        }
        own = dict(self.plan.agent_environ.get(name, {}))
        return self._spawn(name, [PYTHON, "-m", "agent"], {"PATH": self.env["PATH"]} | env | own)

    def _python(self, name: str, *args: str) -> Child:
        return self._spawn(name, [PYTHON, *args], self.env)

    def _spawn(self, name: str, argv: list[str], env: dict[str, str]) -> Child:
        return self.supervisor.start(Child(name, argv, env, ROOT))


def ffmpeg() -> str:
    """The system's FFmpeg, else the one in the `imageio-ffmpeg` wheel."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    carried: str = imageio_ffmpeg.get_ffmpeg_exe()
    return carried


def kept_secrets(home: Path) -> dict[str, str]:
    """SECRET_KEY and FIELD_KEYS of this home: made at the first start, kept in `dev.env` (0600)."""
    path = home / "dev.env"
    if not path.exists():
        key = base64.b64encode(secrets.token_bytes(32)).decode()
        text = f"SECRET_KEY={secrets.token_urlsafe(50)}\nFIELD_KEYS=dev1:{key}\n"
        with tempfile.NamedTemporaryFile("w", dir=home, delete=False) as file:
            file.write(text)
        Path(file.name).rename(path)
    pairs = (line.partition("=") for line in path.read_text().splitlines() if line)
    return {name: value for name, _, value in pairs}
