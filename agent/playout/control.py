"""The unix socket the agent gives orders by."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .board import Board
from .orders import OrderError
from .plan import Plan, PlanError
from .playout import Playout
from .steering import STEERINGS

LINE_LIMIT: Final = 64 * 1024
log = logging.getLogger(__name__)


class Control:
    """`load` reads the plan again; it raises PlanError."""

    def __init__(self, playout: Playout, board: Board, load: Callable[[], Plan]) -> None:
        self._playout = playout
        self._board = board
        self._load = load
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def listen(self, path: Path) -> asyncio.Server:
        _clear(path)
        server = await asyncio.start_unix_server(self._accept, _short(path), limit=LINE_LIMIT)
        os.chmod(path, 0o600)
        return server

    async def close(self) -> None:
        """Who is still connected has read all there was to say."""
        for writer in self._open.values():
            writer.close()
        if self._open:
            await asyncio.wait(self._open)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="control")
        self._open[task] = writer
        task.add_done_callback(lambda done: self._open.pop(done, None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                reply = await self._answer(line, writer)
                writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
                await writer.drain()
        except (ValueError, ConnectionError):
            log.warning("a control connection was given up")
        finally:
            self._board.forget(writer)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return _refusal("not JSON")
        if not isinstance(request, dict):
            return _refusal("not an object")
        try:
            return {"ok": True, **await self._carry_out(request, writer)}
        except (OrderError, PlanError) as error:
            return _refusal(str(error))

    async def _carry_out(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> dict[str, Any]:
        order = request.get("order")
        if order in ("status", "watch"):
            if order == "watch":
                self._board.watch(writer)
            return {"status": self._board.status()}
        log.info("order", extra={"order": order if isinstance(order, str) else "?"})
        if order in STEERINGS:
            return {"item_id": await self._playout.steer(order, _number(request, "item_id"))}
        match order:
            case "renew":
                return {"item_id": await self._playout.renew(_number(request, "destination_id"))}
            case "reload":
                self._playout.reload(await asyncio.to_thread(self._load))
            case "retry":
                self._playout.outputs.retry()
            case "stop":
                self._playout.stop()
            case _:
                raise OrderError("unknown order")
        return {}


def _number(request: dict[str, Any], name: str) -> int | None:
    value = request.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise OrderError(f"«{name}» is no number")
    return value


def _refusal(reason: str) -> dict[str, Any]:
    return {"ok": False, "error": reason}


def _clear(path: Path) -> None:
    """A playout that was killed leaves its socket behind; the lock says that it is no longer there."""
    path.unlink(missing_ok=True)


def _short(path: Path) -> str:
    """A unix socket's name has room for 107 bytes; seen from the directory itself it always fits."""
    if len(os.fsencode(path)) < 108:
        return str(path)
    return os.path.relpath(path)
