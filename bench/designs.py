"""Ways to bring N files to N × D destinations. Each is a context manager: `pids` is who does the work."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.playout.playout import LEAD_MS, TICK_S
from bench.ours import Playouts, destination
from bench.sink import Sink, compiled
from lab.ports import free_port, wait_open

NGINX: Final = "/usr/sbin/nginx"
RTMP_MODULE: Final = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
TICK_MS: Final = round(TICK_S * 1000)

_CONFIG: Final = """\
load_module {module};
{user}daemon off; worker_processes 1;
pid {home}/nginx.pid; error_log {home}/error.log error;
events {{ worker_connections 1024; }}
rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; chunk_size 4096; {applications} }} }}
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What every design has to do."""

    streams: int
    destinations: int
    footage: Path
    home: Path

    def urls(self, sink: Sink, stream: int) -> list[str]:
        return [f"{sink.url()}/{key}" for key in self.keys(stream)]

    def keys(self, stream: int) -> list[str]:
        return [f"s{stream}d{number}" for number in range(self.destinations)]


Work = Callable[[], list[int]]
"""The processes that do the work, as they are now."""
Design = Callable[[Task, Sink], AbstractContextManager[Work]]


@contextmanager
def ours(task: Task, sink: Sink) -> Iterator[Work]:
    with Playouts(task.home) as playouts:
        for stream in range(task.streams):
            places = [destination(n, sink.url(), key) for n, key in enumerate(task.keys(stream), 1)]
            playouts.start(stream, task.footage, places)
        yield lambda: playouts.pids


@contextmanager
def ffmpeg_per_destination(task: Task, sink: Sink) -> Iterator[Work]:
    """FFmpeg → nginx on this machine, and an FFmpeg that pulls and pushes for each destination."""
    port = free_port()
    local = f"rtmp://127.0.0.1:{port}/live"
    with _nginx(task.home, port, "application live { live on; wait_key on; }") as nginx, _Processes() as running:
        for stream in range(task.streams):
            running.start([*_reader(task), "-c", "copy", "-f", "flv", f"{local}/s{stream}"])
        _wait_until_published(task, port)
        for stream in range(task.streams):
            for url in task.urls(sink, stream):
                running.start([*_FFMPEG, "-i", f"{local}/s{stream}", "-c", "copy", "-f", "flv", url])
        yield lambda: [nginx, *running.pids]


@contextmanager
def nginx_push(task: Task, sink: Sink) -> Iterator[Work]:
    """FFmpeg → nginx on this machine, which pushes on: an application per stream."""
    port = free_port()
    applications = ""
    for stream in range(task.streams):
        pushes = " ".join(f"push {url};" for url in task.urls(sink, stream))
        applications += f"application stream_{stream} {{ live on; {pushes} }} "
    with _nginx(task.home, port, applications) as nginx, _Processes() as running:
        for stream in range(task.streams):
            target = f"rtmp://127.0.0.1:{port}/stream_{stream}/x"
            running.start([*_reader(task), "-c", "copy", "-f", "flv", target])
        yield lambda: [nginx, *running.pids]


@contextmanager
def ffmpeg_tee(task: Task, sink: Sink) -> Iterator[Work]:
    """One FFmpeg per stream, with a queue and a thread per destination."""
    with _Processes() as running:
        for stream in range(task.streams):
            outputs = "|".join(f"[f=flv:onfail=ignore]{url}" for url in task.urls(sink, stream))
            tee = ["-map", "0", "-flags", "+global_header", "-f", "tee", "-use_fifo", "1", outputs]
            running.start([*_reader(task), "-c", "copy", *tee])
        yield lambda: running.pids


@contextmanager
def floor(task: Task, sink: Sink, tick_ms: int = 0) -> Iterator[Work]:
    """Nothing but paced writes, one process for all: each tag at its time, or all that is due in a tick at once.
    Without a compiler the same in Python.
    """
    program = compiled("floor.c", task.home)
    command = [str(program)] if program else [sys.executable, str(Path(__file__).with_name("floor.py"))]
    how = [sink.port, task.streams * task.destinations, tick_ms, LEAD_MS, task.footage]
    with _Processes() as running:
        running.start([*command, *map(str, how)])
        yield lambda: running.pids


def floor_in_ticks(task: Task, sink: Sink) -> AbstractContextManager[Work]:
    return floor(task, sink, TICK_MS)


DESIGNS: Final[dict[str, Design]] = {
    "ours": ours,
    "ffmpeg": ffmpeg_per_destination,
    "nginx_push": nginx_push,
    "tee": ffmpeg_tee,
    "floor": floor,
    "floor_ticks": floor_in_ticks,
}
TITLES: Final = {
    "ours": "ours, a process per stream",
    "ffmpeg": "FFmpeg → nginx, FFmpeg per destination",
    "nginx_push": "FFmpeg → nginx, push per destination",
    "tee": "one FFmpeg, tee + fifo per destination",
    "floor": "floor: paced writes of the same bytes",
    "floor_ticks": f"floor in ticks of {TICK_MS} ms",
}
_FFMPEG: Final = ("ffmpeg", "-v", "error", "-nostdin")


def _reader(task: Task) -> list[str]:
    return [*_FFMPEG, "-re", "-stream_loop", "-1", "-i", str(task.footage)]


class _Processes:
    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._running:
            process.kill()  # FFmpeg with a destination that is gone does not hear SIGTERM
        for process in self._running:
            process.wait()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._running]

    def start(self, command: Sequence[str]) -> None:
        self._running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


@contextmanager
def _nginx(home: Path, port: int, applications: str) -> Iterator[int]:
    user = "user root; " if os.geteuid() == 0 else ""
    config = home / "nginx.conf"
    config.write_text(_CONFIG.format(module=RTMP_MODULE, user=user, home=home, port=port, applications=applications))
    process = subprocess.Popen([NGINX, "-p", str(home), "-c", str(config), "-e", "stderr"])
    try:
        wait_open(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_published(task: Task, port: int) -> None:
    """Who asks nginx for a stream too early waits for ever: each is looked at until it has a picture."""
    for stream in range(task.streams):
        url = f"rtmp://127.0.0.1:{port}/live/s{stream}"
        probe = ["ffmpeg", "-v", "quiet", "-nostdin", "-i", url, "-c", "copy", "-t", "0.1", "-f", "null", "-"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(probe, timeout=15, check=False)
