"""Talking to one playout over its control socket: orders down, STATUS lines up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent.protocol import DestinationState
from agent.state import Playing

SOCKET: Final = "control.sock"
RETRY_SECONDS: Final = 0.05
SLOW_RETRY_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 10.0
LONGEST_LINE: Final = 4 * 1024 * 1024
log = logging.getLogger("agent.playout_link")


class PlayoutLink:
    """Watches for as long as the process lives; connects again when the connection breaks."""

    def __init__(self, run_id: str, run_dir: Path, on_status: Callable[[Playing], None]) -> None:
        self._run_id = run_id
        self._socket = run_dir / SOCKET
        self._on_status = on_status
        self._reload = asyncio.Event()
        self.connected = False
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._order_reloads())]

    def reload(self) -> None:
        """The plan has changed; several changes in a row may become one order."""
        self._reload.set()

    async def stop(self) -> bool:
        """Asks it to stop; whether it heard."""
        return await self._order({"order": "stop"})

    async def next(self) -> bool:
        return await self._order({"order": "next"})

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self) -> None:
        tries = 0
        while True:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                await self._watch_once()
                tries = 0
            self.connected = False
            tries += 1
            await asyncio.sleep(RETRY_SECONDS if tries < 200 else SLOW_RETRY_SECONDS)

    async def _watch_once(self) -> None:
        reader, writer = await _connect(self._socket)
        try:
            self.connected = True
            # The plan may have changed between its reading and its listening.
            self.reload()
            writer.write(_line({"order": "watch"}))
            while raw := await _line_from(reader):
                self._take(raw)
        finally:
            writer.close()

    def _take(self, raw: bytes) -> None:
        body = json.loads(raw)
        status = body.get("status", body) if isinstance(body, dict) else None
        if not isinstance(status, dict) or "phase" not in status:
            return
        try:
            self._on_status(playing_from(status))
        except (KeyError, TypeError, ValueError) as error:
            log.warning("a status of the playout cannot be read: %s", type(error).__name__)

    async def _order_reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            if not await self._order({"order": "reload"}):
                await asyncio.sleep(RETRY_SECONDS)
                if self.connected:
                    self._reload.set()

    async def _order(self, order: dict[str, Any]) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._ask(order)
        except (OSError, TimeoutError, ValueError):
            return False
        if answer.get("ok") is not True:
            text = "the playout refused an order"
            log.warning(text, extra={"run": self._run_id, "detail": str(answer.get("error"))})
            return bool(order["order"] == "reload")
        return True

    async def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await _connect(self._socket)
        try:
            writer.write(_line(order))
            await writer.drain()
            answer = json.loads(await reader.readline())
            return answer if isinstance(answer, dict) else {}
        finally:
            writer.close()


async def _line_from(reader: asyncio.StreamReader) -> bytes:
    # Not wait_for: on Python 3.11 it may swallow a cancellation that comes together with the line.
    async with asyncio.timeout(SILENCE_SECONDS):
        return await reader.readline()


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def playing_from(status: dict[str, Any]) -> Playing:
    """Raises KeyError, TypeError or ValueError when it is not a STATUS."""
    return Playing(
        phase=str(status["phase"]),
        item_id=status.get("item_id"),
        file_id=status.get("file_id"),
        position_s=round(float(status.get("position_s") or 0.0), 3),
        duration_s=status.get("duration_s"),
        items_played=int(status.get("items_played") or 0),
        next_item_ids=tuple(int(each) for each in status.get("next_item_ids") or ()),
        skipped=tuple((int(each["file_id"]), str(each["reason"])) for each in status.get("skipped") or ()),
        bitrate_kbps=float(status.get("bitrate_kbps") or 0.0),
        destinations=tuple(_destination(each) for each in status.get("destinations") or ()),
    )


def _destination(body: dict[str, Any]) -> DestinationState:
    reason = body.get("reason")
    return DestinationState(
        id=int(body["id"]),
        state=str(body["state"]),
        since=float(body["since"]),
        reason=None if reason is None else str(reason),
        bytes_sent=int(body.get("bytes_sent") or 0),
        bitrate_kbps=float(body.get("bitrate_kbps") or 0.0),
        reconnects=int(body.get("reconnects") or 0),
        drops=int(body.get("drops") or 0),
    )


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A unix socket's name has room for 107 bytes; by way of the open directory it always fits."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}", limit=LONGEST_LINE)
    finally:
        os.close(folder)
