"""What an operator's question is answered with: processes, nginx, the agent's own last lines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent import census
from agent.actions import Inquire
from agent.inquiries import Found, Look
from agent.log import Recent
from agent.nginx import Nginx
from agent.nginx_program import NginxError

LONGEST_LINE: Final = 500
CONNECT_SECONDS: Final = 1.0


class Looks:
    def __init__(self, runs_dir: Path, nginx: Nginx, rtmp_port: int, recent: Recent) -> None:
        self._runs_dir = runs_dir
        self._nginx = nginx
        self._rtmp_port = rtmp_port
        self._recent = recent

    def by_name(self) -> Mapping[str, Look]:
        return {"processes": self.processes, "nginx": self.nginx, "log": self.log}

    async def processes(self, _asked: Inquire) -> Found:
        found = await census.look(self._runs_dir)
        return Found(True, f"{len(found)} processes", processes=tuple(found))

    async def nginx(self, _asked: Inquire) -> Found:
        """Whether it takes the configuration as it lies there, and whether it runs."""
        try:
            names = await self._nginx.look()
        except NginxError as error:
            return Found(False, str(error))
        except OSError as error:
            return Found(False, f"nginx's files cannot be read ({error.strerror})")
        port = self._rtmp_port
        if not await _is_open(port):
            return Found(False, f"nginx takes its configuration, but nothing answers on port {port}")
        return Found(True, f"nginx takes its configuration and answers on port {port}", lines=names)

    async def log(self, asked: Inquire) -> Found:
        lines = self._recent.tail(asked.lines)
        return Found(True, f"the last {len(lines)} lines", lines=tuple(line[:LONGEST_LINE] for line in lines))


async def _is_open(port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
