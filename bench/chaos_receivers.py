"""Where the streams of the chaos harness arrive: servers that say who pushes what, and how many bytes of it came.

Two kinds, as platforms are: nginx-rtmp refuses a second publisher of a key; the sink takes whoever comes.
"""

from __future__ import annotations

import subprocess
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, Self

from bench.sink import Sink
from lab.platform import _MODULE as RTMP_MODULE
from lab.platform import nginx_binary
from lab.ports import free_port, wait_open
from lab.processes import die_with_parent

Publisher = tuple[str, int]
"""A key, and a number that no other connection of this server has."""
_CONF: Final = """
load_module {module};
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log info;
events {{ worker_connections 512; }}
rtmp {{
  access_log off;
  server {{ listen 127.0.0.1:{rtmp}; chunk_size 4096; application nginx {{ live on; record off; }} }}
}}
http {{
  access_log off;
  server {{ listen 127.0.0.1:{http}; location /stat {{ rtmp_stat all; }} }}
}}
"""


class Receiver(Protocol):
    def url(self) -> str: ...

    def sample(self) -> Mapping[Publisher, int]:
        """Bytes of media so far, of each publisher there is."""


class NginxRtmp:
    """`with NginxRtmp(home) as server:` a real nginx-rtmp, asked for its statistics."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._rtmp_port, self._http_port = free_port(), free_port()

    def __enter__(self) -> Self:
        self._home.mkdir(parents=True)
        conf = self._home / "nginx.conf"
        conf.write_text(_CONF.format(module=RTMP_MODULE, home=self._home, rtmp=self._rtmp_port, http=self._http_port))
        argv = [str(nginx_binary()), "-p", str(self._home), "-e", str(self._home / "error.log"), "-c", str(conf)]
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_open(self._rtmp_port)
        wait_open(self._http_port)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def url(self) -> str:
        return f"rtmp://127.0.0.1:{self._rtmp_port}/nginx"

    def sample(self) -> dict[Publisher, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}/stat", timeout=5) as answer:
            page = ET.fromstring(answer.read())  # our own server's
        found = {}
        for stream in page.iterfind("server/application/live/stream"):
            for client in stream.iterfind("client"):
                if client.find("publishing") is not None:
                    publisher = (stream.findtext("name", ""), int(client.findtext("id", "0")))
                    found[publisher] = int(stream.findtext("bytes_in", "0"))
        return found


class TakesAll:
    """The sink: every connection that publishes is welcome."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def url(self) -> str:
        return self._sink.url("sink")

    def sample(self) -> dict[Publisher, int]:
        oldest_first = reversed(self._sink.report())
        return {(each.key, number): each.bytes for number, each in enumerate(oldest_first) if each.published}
