"""What the playout says of itself: lines to those who watch, status.json for the process that may have to
take over.
"""

import asyncio
import json
import logging
import os
import time
from pathlib import Path
from typing import Any, Final

from . import still
from .packets import Packet
from .playout import Playout

WATCH_S: Final = 1.0
FILE_S: Final = 5.0
SLOW_WATCHER: Final = 256 * 1024
log = logging.getLogger(__name__)


class Board:
    """Who watches hears it whatever the disk does; files are written beside that, one at a time."""

    def __init__(self, playout: Playout, run_dir: Path) -> None:
        self._playout = playout
        self._path = run_dir / "status.json"
        self._watchers: set[asyncio.StreamWriter] = set()
        self._changed = False
        """Since it was last written."""
        self._written = 0.0
        self._still: Packet | None = None
        self._still_at = -still.EVERY_S
        self._writing: asyncio.Task[None] | None = None
        self._restarted = False

    async def run(self) -> None:
        while True:
            changed = await self._wait()
            self._changed |= changed
            if changed or self._watchers or self._is_due():
                self._show()

    def watch(self, writer: asyncio.StreamWriter) -> None:
        self._watchers.add(writer)

    def forget(self, writer: asyncio.StreamWriter) -> None:
        self._watchers.discard(writer)

    async def last_words(self, *, restarted: bool = False) -> dict[str, Any]:
        """The final STATUS, shown to everybody. `restarted`: another process takes over at once."""
        self._restarted = restarted
        await self._all_written()
        self._changed = True
        self._show()
        await self._all_written()
        return self.status()

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(WATCH_S):
                await self._playout.changed.wait()
        except TimeoutError:
            return False
        self._playout.changed.clear()
        return True

    def _is_due(self) -> bool:
        return self._changed or time.monotonic() - self._written >= FILE_S

    def _show(self) -> None:
        line = json.dumps(self.status(), ensure_ascii=False).encode() + b"\n"
        for writer in list(self._watchers):
            self._send(writer, line)
        if self._is_due() and (self._writing is None or self._writing.done()):
            self._changed, self._written = False, time.monotonic()
            self._writing = asyncio.create_task(self._write(line))

    async def _write(self, line: bytes) -> None:
        try:
            await asyncio.to_thread(write_atomically, self._path, line)
            await self._picture()
        except OSError as error:  # the next time is soon
            log.warning("the status cannot be written: %s", error.strerror)

    async def _all_written(self) -> None:
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _picture(self) -> None:
        """Leaves the newest key frame beside status.json, at most every `still.EVERY_S`."""
        key_frame = self._playout.key_frame
        if key_frame is None or key_frame is self._still or time.monotonic() - self._still_at < still.EVERY_S:
            return
        self._still, self._still_at = key_frame, time.monotonic()
        await asyncio.to_thread(write_atomically, self._path.with_name(still.NAME), still.as_flv(key_frame))

    def status(self) -> dict[str, Any]:
        return {"pid": os.getpid(), "restarted": self._restarted, **self._playout.status()}

    def _send(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        if writer.is_closing() or writer.transport.get_write_buffer_size() > SLOW_WATCHER:
            writer.close()
            self.forget(writer)
            return
        writer.write(line)


def write_atomically(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, never half of either. Mode 0600."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
    os.replace(draft, path)
