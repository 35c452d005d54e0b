"""Real receivers for tests: nginx-rtmp, FFmpeg's listener, and servers that misbehave.

All on loopback, on free ports; each is a context manager that leaves nothing behind. Also meant for tests
elsewhere: ``from agent.playout.tests.servers import NginxRtmp``.
"""

import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.ports import free_port, wait_open
from lab.processes import wait_until

NGINX = "/usr/sbin/nginx"
RTMP_MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

_CONFIG = """\
load_module {module};
daemon off; master_process off; worker_processes 1;
pid {root}/nginx.pid; error_log {root}/error.log info;
events {{ worker_connections 256; }}
rtmp {{ access_log off; server {{
  listen 127.0.0.1:{port}; chunk_size 4096; {server}
  application live {{
    live on; wait_key off; record all; record_path {recordings}; record_unique on; {application}
  }}
}} }}
"""


class NginxRtmp:
    """nginx with the RTMP module: application `live`, every publish recorded to an FLV of its own.

    `application` and `server` are further directives. `stop()` and `start()` make an outage on the same port.
    """

    def __init__(self, *, application: str = "", server: str = "", port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"rtmp://127.0.0.1:{self.port}/live"
        self._directives = {"application": application, "server": server}
        self._directory = tempfile.TemporaryDirectory(prefix="nginx-rtmp-")
        self.root = Path(self._directory.name)
        self.recordings = self.root / "recordings"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.recordings.mkdir()
        config = _CONFIG.format(
            module=RTMP_MODULE,
            root=self.root,
            port=self.port,
            recordings=self.recordings,
            **self._directives,
        )
        # A root nginx would give up its rights and then be unable to write here.
        (self.root / "nginx.conf").write_text("user root;\n" * _is_root() + config)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        command = [NGINX, "-p", str(self.root), "-c", str(self.root / "nginx.conf"), "-e", "stderr"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_open(self.port)

    def stop(self) -> None:
        """At once, as a killed server goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def recordings_of(self, key: str) -> list[Path]:
        """Oldest first."""
        found = self.recordings.glob(f"{key}-*.flv")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def log(self) -> str:
        return (self.root / "error.log").read_text(errors="replace")


@contextmanager
def ffmpeg_listener(out: Path) -> Iterator[str]:
    """FFmpeg's own RTMP server for one publisher: yields the URL without key, copies what comes to `out`."""
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live"
    command = ["ffmpeg", "-v", "error", "-nostdin", "-listen", "1", "-i", f"{url}/key"]
    process = subprocess.Popen([*command, "-c", "copy", "-f", "flv", "-y", str(out)])
    try:
        wait_until(lambda: _listening(port), "FFmpeg listens")
        yield url
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def _listening(port: int) -> bool:
    """Without connecting: FFmpeg would take that for its publisher."""
    wanted = f"0100007F:{port:04X}"
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1] == wanted and row.split()[3] == "0A" for row in rows)


def _is_root() -> bool:
    return os.geteuid() == 0


@contextmanager
def tcp_server(serve: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    """Yields the port of a server that calls `serve` with each connection, in a thread, then closes it."""
    listener = socket.create_server((host, 0))
    connections: list[socket.socket] = []

    def handle(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join(5)


@contextmanager
def black_hole() -> Iterator[int]:
    """Accepts connections, reads, and never says a word. Yields the port."""

    def serve(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with tcp_server(serve) as port:
        yield port
