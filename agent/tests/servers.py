"""Real neighbours of an agent for tests: redis-server, a file server that can misbehave, the agent itself."""

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import redis

from agent import procfs, protocol
from lab.ports import free_port, wait_open
from lab.processes import ROOM

HOME = Path(__file__).resolve().parent.parent.parent


class RedisServer:
    """An empty redis-server; `stop()` and `start()` make an outage on the same port. `options`: more of its own."""

    def __init__(self, *options: str, address: str = "127.0.0.1", password: str = "") -> None:
        """At another address than loopback's it wants a password."""
        self._options = options
        self._address, self._password = address, password
        self._port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://:{password}@{address}:{self._port}/0" if password else f"redis://{address}:{self._port}/0"
        self.unix_url = f"unix://{self._directory.name}/redis.sock"

    def start(self) -> None:
        command = [shutil.which("redis-server") or "redis-server"]
        command += ["--bind", *{"127.0.0.1", self._address}, "--requirepass", self._password]
        command += ["--port", str(self._port), "--dir", self._directory.name]
        command += ["--unixsocket", f"{self._directory.name}/redis.sock"]
        command += ["--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        wait_open(self._port)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()


@dataclass
class FileServer:
    """Answers ranges of at most `most` bytes. `broken` connections end in the middle of an answer."""

    files: dict[str, bytes] = field(default_factory=dict)
    most: int = 8 * 1024 * 1024
    broken: int = 0
    statuses: list[int] = field(default_factory=list)
    """Answered instead, one per request, before anything else."""
    redirects: dict[str, str] = field(default_factory=dict)
    ignores_ranges: bool = False
    bytes_per_second: float | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(path, Range) of each request"""
    address: str = "127.0.0.1"
    port: int = 0
    scheme: str = "http"

    @property
    def host(self) -> str:
        return f"{self.address}:{self.port}"

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}{path}"


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go in the middle are what these tests are about."""


@contextlib.contextmanager
def file_server(address: str = "127.0.0.1", certificate: Path | None = None) -> Iterator[FileServer]:
    """`certificate`: it speaks TLS with this, key and certificate in one file."""
    world = FileServer(address=address)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            world.asked.append((path, self.headers.get("Range", "")))
            with contextlib.suppress(ConnectionError):
                self.answer(path)

        def answer(self, path: str) -> None:
            if path in world.redirects:
                self.empty(302, Location=world.redirects[path])
            elif world.statuses:
                self.empty(world.statuses.pop(0))
            elif path not in world.files:
                self.empty(404)
            else:
                self.give(world.files[path])

        def empty(self, code: int, **headers: str) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def give(self, body: bytes) -> None:
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            if world.ignores_ranges:
                part = body
                self.send_response(200)
            else:
                part = body[start : start + world.most]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if world.broken:
                world.broken -= 1
                self.wfile.write(part[: len(part) // 2])
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
                return
            self.trickle(part)

        def trickle(self, part: bytes) -> None:
            if world.bytes_per_second is None:
                self.wfile.write(part)
                return
            step = max(1, int(world.bytes_per_second / 20))
            for at in range(0, len(part), step):
                self.wfile.write(part[at : at + step])
                time.sleep(0.05)

        def finish(self) -> None:
            with contextlib.suppress(ConnectionError, ValueError):
                super().finish()

    server = _Server((address, 0), Handler)
    server.daemon_threads = True
    world.port = server.server_address[1]
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        world.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class Ear:
    """Hears all that agents say, in order."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.psubscribe(*protocol.UP_PATTERNS)
        self.heard: list[protocol.UpMessage] = []
        self._pubsub.get_message(timeout=1)

    def command(self, vps_id: int, command: protocol.Command) -> None:
        self._client.publish(protocol.commands_channel(vps_id), protocol.encode(command))

    def say(self, vps_id: int, raw: str) -> None:
        self._client.publish(protocol.commands_channel(vps_id), raw)

    def listen(self) -> None:
        while (message := self._pubsub.get_message(timeout=0.05)) is not None:
            if message["type"] == "pmessage":
                self.heard.append(protocol.decode_up(message["channel"].decode(), message["data"]))

    def so_far(self) -> int:
        """How many; what was said before this call is among them, also by somebody who is dead by now."""
        self.listen()
        return len(self.heard)

    def wait_for(self, test, limit_s: float = 15.0, since: int = 0):
        """The first message after number `since` that the test holds for."""
        end = time.monotonic() + limit_s * ROOM
        seen = since
        while time.monotonic() < end:
            self.listen()
            for message in self.heard[seen:]:
                if test(message):
                    return message
            seen = len(self.heard)
        raise TimeoutError(f"not heard; the last were {self.heard[-5:]}")

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


class AgentProcess:
    """`python -m agent` with a directory of its own."""

    def __init__(self, redis_url: str, work_dir: Path, hosts: str, vps_id: int = 7, **more: str) -> None:
        self.work_dir = work_dir
        self.log_path = work_dir.parent / f"agent-{vps_id}.log"
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("EZSTREAM_")}
        self._environ |= {
            "EZSTREAM_REDIS_URL": redis_url,
            "EZSTREAM_VPS_ID": str(vps_id),
            "EZSTREAM_WORK_DIR": str(work_dir),
            "EZSTREAM_TRUSTED_HOSTS": hosts,
            "EZSTREAM_PLAIN_HTTP_HOSTS": hosts,
            "EZSTREAM_ALLOW_PRIVATE_DESTINATIONS": "1",
            **more,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as output:
            self.process = subprocess.Popen([sys.executable, "-m", "agent"], cwd=HOME, env=self._environ, stderr=output)

    def end(self, number: int = signal.SIGTERM, limit_s: float = 12.0) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(limit_s * ROOM)

    def playouts(self) -> list[int]:
        found = procfs.playouts_under(self.work_dir / "runs")
        return [pid for pids in found.values() for pid in pids]

    def nurseries(self) -> list[int]:
        """Its children that playouts are forked from."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if "agent.playout.nursery" in procfs.command_line(int(pid))]

    def log(self) -> list[dict]:
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line.startswith("{")]

    def clear_away(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.playouts():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
