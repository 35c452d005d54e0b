"""Real receivers for tests: nginx-rtmp, FFmpeg's listener, and servers that misbehave.

All on loopback, on free ports; each is a context manager that leaves nothing behind. Also meant for tests
elsewhere: ``from agent.playout.tests.servers import NginxRtmp``.
"""

import os
import socket
import ssl
import subprocess
import sys
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


@contextmanager
def pyrtmp_server(directory: Path) -> Iterator[str]:
    """PyRTMP: yields the URL without key; every publish ends up in `directory`."""
    port = free_port()
    command = [sys.executable, "-m", "agent.playout.tests.pyrtmp_server", str(port), str(directory)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.DEVNULL)
    try:
        wait_open(port)
        yield f"rtmp://127.0.0.1:{port}/live"
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


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port that does not even answer a SYN: its queue of connections nobody accepts is full."""
    waiting: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        try:
            for _ in range(3):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(listener.getsockname())
            yield int(listener.getsockname()[1])
        finally:
            for connection in waiting:
                connection.close()


@contextmanager
def http_server(code: int) -> Iterator[int]:
    """Answers every request with this code, as a gatekeeper of nginx-rtmp's does. Yields the port."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 {code} Answer\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    with tcp_server(serve) as port:
        yield port


@contextmanager
def tls_before(port: int, certificate: Path) -> Iterator[int]:
    """Ends TLS and passes everything on to `port`. Yields its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with tcp_server(lambda client: _terminate(context, client, port)) as own:
        yield own


def _terminate(context: ssl.SSLContext, client: socket.socket, port: int) -> None:
    with (
        context.wrap_socket(client, server_side=True) as secure,
        socket.create_connection(("127.0.0.1", port)) as upstream,
    ):
        thread = threading.Thread(target=_copy, args=(upstream, secure))
        thread.start()
        _copy(secure, upstream)
        upstream.close()
        thread.join(5)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay_until(stuck: threading.Event, port: int) -> Iterator[int]:
    """Passes everything on to `port` until `stuck`: then it reads nothing more and stays. Yields its own port."""
    with tcp_server(lambda client: _relay(client, port, stuck)) as own:
        yield own


def _relay(client: socket.socket, port: int, stuck: threading.Event) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.create_connection(("127.0.0.1", port)) as upstream:
        threading.Thread(target=_copy, args=(upstream, client), daemon=True).start()
        while not stuck.is_set() and (data := client.recv(65536)):
            upstream.sendall(data)
        upstream.settimeout(30)
        while upstream.recv(65536):
            pass
