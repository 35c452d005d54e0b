"""The nginx beside an agent, as deploy/nginx-agent.conf.example describes it, in a directory of a test."""

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.playout.tests.servers import NGINX, RTMP_MODULE
from lab.ports import free_port, wait_open
from lab.processes import wait_until

EXAMPLE = Path(__file__).parents[2] / "deploy" / "nginx-agent.conf.example"


class LocalNginx:
    """`stop()` and `start()` make an outage on the same port."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        self.port = free_port()
        self.conf = home / "nginx.conf"
        self.streams = home / "streams.d"
        self._log = home / "error.log"
        self._process: subprocess.Popen[bytes] | None = None
        text = EXAMPLE.read_text()
        for old, new in {
            "/usr/lib/nginx/modules/ngx_rtmp_module.so": RTMP_MODULE,
            "/run/ezstream-nginx/nginx.pid": str(home / "nginx.pid"),
            "/var/log/ezstream-nginx/error.log crit": f"{self._log} notice",
            "127.0.0.1:1935": f"127.0.0.1:{self.port}",
        }.items():
            assert old in text
            text = text.replace(old, new)
        self.conf.write_text(text)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        more = "daemon off;" + " user root;" * (os.geteuid() == 0)
        self._process = subprocess.Popen([NGINX, "-c", str(self.conf), "-g", more], stderr=subprocess.DEVNULL)
        wait_open(self.port)

    def stop(self) -> None:
        """At once, workers that still shut down included."""
        if self._process is None:
            return
        master, self._process = self._process, None
        workers = self.workers(master.pid)
        master.kill()
        master.wait()
        for pid in workers:
            subprocess.run(["kill", "-9", str(pid)], stderr=subprocess.DEVNULL, check=False)
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in workers), "the workers gone")
        (self.conf.parent / "nginx.pid").unlink(missing_ok=True)

    def workers(self, master: int | None = None) -> list[int]:
        pid = master or (self._process.pid if self._process else 0)
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def reloads(self) -> int:
        return self.log().count("(SIGHUP) received")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def url(self, stream_id: int, destination_id: int) -> str:
        return f"rtmp://127.0.0.1:{self.port}/stream_{stream_id}_{destination_id}"
