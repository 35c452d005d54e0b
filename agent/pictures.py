"""A picture of what is on air, every ten seconds: the playout's newest key frame as a small JPEG, sent to the
control plane. Nothing waits for it, and a picture that cannot be made or sent is left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import requests

from agent.downloads import DownloadError, Trust
from agent.ffmpeg import Ffmpeg, FfmpegError

STILL: Final = "still.flv"
"""Written by the playout, see its `still` module."""
PICTURE: Final = "still.jpg"
LOOK_EVERY_S: Final = 2.0
TIMEOUTS: Final = (5.0, 10.0)
log = logging.getLogger("agent.pictures")


class Pictures:
    """`wanted` says which runs are on air and where the picture of each goes."""

    def __init__(
        self, ffmpeg: Ffmpeg, trust: Trust, run_dir: Callable[[str], Path], wanted: Callable[[], Mapping[str, str]]
    ) -> None:
        self._ffmpeg = ffmpeg
        self._trust = trust
        self._run_dir = run_dir
        self._wanted = wanted
        self._seen: dict[str, int] = {}
        """Modification time (ns) of the still last handled, by run."""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            wanted = self._wanted()
            self._seen = {run_id: seen for run_id, seen in self._seen.items() if run_id in wanted}
            for run_id, url in wanted.items():
                await self._follow(run_id, url)

    async def _follow(self, run_id: str, url: str) -> None:
        try:
            if self._is_new(run_id):
                await self._take(self._run_dir(run_id), url)
        except (OSError, FfmpegError, DownloadError, requests.RequestException) as error:
            extra = {"run": run_id, "error_type": type(error).__name__}
            log.warning("no picture of what is on air", extra=extra)

    def _is_new(self, run_id: str) -> bool:
        still = self._run_dir(run_id) / STILL
        if not still.exists():
            return False
        modified = still.stat().st_mtime_ns
        is_new = self._seen.get(run_id) != modified
        self._seen[run_id] = modified
        return is_new

    async def _take(self, run_dir: Path, url: str) -> None:
        self._trust.check(url)
        picture = run_dir / PICTURE
        await self._ffmpeg.picture(run_dir / STILL, picture)
        await asyncio.to_thread(_send, self._trust, url, picture.read_bytes())


def _send(trust: Trust, url: str, jpeg: bytes) -> None:
    with trust.session() as session:
        headers = {"Content-Type": "image/jpeg"}
        session.put(url, data=jpeg, headers=headers, timeout=TIMEOUTS, allow_redirects=False).raise_for_status()
