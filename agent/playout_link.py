"""Talking to one playout over its control socket: orders down, STATUS lines up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.playout_words import UNANSWERED, Answer, answer_from, playing_from
from agent.state import Playing

SOCKET: Final = "control.sock"
RETRY_SECONDS: Final = 0.05
SLOW_RETRY_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 5.0
STEER_SECONDS: Final = 0.8
"""So long an order of the control plane may take: it is answered within a second."""
SILENCE_SECONDS: Final = 5.0
"""It says something every second. Then it is called again; if it does not greet either for so long, it hangs."""
LONGEST_LINE: Final = 4 * 1024 * 1024
NOTHING: Final[Mapping[str, int | None]] = {}
log = logging.getLogger("agent.playout_link")


@dataclass(slots=True)
class _Waiting:
    """An order that waits for its turn. `until` (loop time): then nobody waits for its answer any more."""

    body: dict[str, Any]
    until: float
    answer: asyncio.Future[Answer]

    @property
    def is_reload(self) -> bool:
        return bool(self.body["order"] == "reload")

    def give_up(self) -> None:
        if not self.answer.done():
            self.answer.set_result(UNANSWERED)


class PlayoutLink:
    """Watches for as long as the process lives; connects again when the connection breaks.

    Orders and reloads are carried out one after the other, in the order they were given: an item that is to play
    next must be in the plan the playout knows.
    """

    def __init__(
        self,
        run_id: str,
        run_dir: Path,
        on_status: Callable[[Playing], None],
        on_hang: Callable[[], None] = lambda: None,
    ) -> None:
        self._run_id = run_id
        self._socket = run_dir / SOCKET
        self._on_status = on_status
        self._on_hang = on_hang
        self._waiting: deque[_Waiting] = deque()
        self._more = asyncio.Event()
        self.connected = False
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._give_orders())]

    def reload(self) -> None:
        """The plan has changed; several changes in a row become one order."""
        if not (self._waiting and self._waiting[-1].is_reload):
            self._put({"order": "reload"}, float("inf"))

    def order(
        self, name: str, about: Mapping[str, int | None] = NOTHING, within: float = ANSWER_SECONDS
    ) -> Coroutine[Any, Any, Answer]:
        """In line from now on; await what comes back for the answer."""
        body = {"order": name} | {key: value for key, value in about.items() if value is not None}
        return _answer_to(self._put(body, asyncio.get_running_loop().time() + within))

    async def stop(self) -> bool:
        """Asks it to stop, past all that waits; whether it heard."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._ask({"order": "stop"})
        except TimeoutError:
            return False
        return answer is not None and answer.ok

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        while self._waiting:
            self._waiting.popleft().give_up()

    async def _watch(self) -> None:
        tries = 0
        while True:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                await self._watch_once()
                tries = 0
            self.connected = False
            tries += 1
            await asyncio.sleep(_pause(tries))

    async def _watch_once(self) -> None:
        reader, writer = await _connect(self._socket)
        try:
            self.connected = True
            # The plan may have changed between its reading and its listening.
            self.reload()
            writer.write(_line({"order": "watch"}))
            await self._listen(reader)
        finally:
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """One that fell silent may have stood still with us; one that lives greets whoever connects."""
        greeted = False
        try:
            while raw := await _line_from(reader):
                greeted = True
                self._take(raw)
        except TimeoutError:
            if not greeted:
                self._on_hang()
            raise

    def _take(self, raw: bytes) -> None:
        body = json.loads(raw)
        status = body.get("status", body) if isinstance(body, dict) else None
        if not isinstance(status, dict) or "phase" not in status:
            return
        try:
            self._on_status(playing_from(status))
        except (KeyError, TypeError, ValueError) as error:
            log.warning("a status of the playout cannot be read: %s", type(error).__name__)

    # ---------------------------------------------------------------------------------------- orders

    def _put(self, body: dict[str, Any], until: float) -> _Waiting:
        waiting = _Waiting(body, until, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._more.set()
        return waiting

    async def _give_orders(self) -> None:
        while True:
            while self._waiting:
                await self._give(self._waiting.popleft())
            self._more.clear()
            await self._more.wait()

    async def _give(self, waiting: _Waiting) -> None:
        tries = 0
        try:
            while asyncio.get_running_loop().time() < waiting.until:
                answer = await self._try(waiting)
                if answer is not None:
                    self._settle(waiting, answer)
                    return
                tries += 1
                await asyncio.sleep(_pause(tries))
        finally:
            waiting.give_up()

    async def _try(self, waiting: _Waiting) -> Answer | None:
        """None: once more. An order that was heard is not given again, whatever came of it; a reload does no harm."""
        until = min(waiting.until, asyncio.get_running_loop().time() + ANSWER_SECONDS)
        answer: Answer | None = UNANSWERED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                answer = await self._ask(waiting.body)
        return None if waiting.is_reload and answer is UNANSWERED else answer

    def _settle(self, waiting: _Waiting, answer: Answer) -> None:
        if not answer.ok:
            extra = {"run": self._run_id, "detail": f"{waiting.body['order']}: {answer.error}"}
            log.warning("the playout did not carry out an order", extra=extra)
        if not waiting.answer.done():
            waiting.answer.set_result(answer)

    async def _ask(self, order: dict[str, Any]) -> Answer | None:
        """None: it did not hear."""
        try:
            reader, writer = await _connect(self._socket)
        except OSError:
            return None
        try:
            writer.write(_line(order))
            await writer.drain()
            return answer_from(await reader.readline())
        except (OSError, ValueError):
            return UNANSWERED
        finally:
            writer.close()


async def _answer_to(waiting: _Waiting) -> Answer:
    try:
        async with asyncio.timeout_at(waiting.until):
            return await waiting.answer
    except TimeoutError:
        return UNANSWERED


def _pause(tries: int) -> float:
    return RETRY_SECONDS if tries < 200 else SLOW_RETRY_SECONDS


async def _line_from(reader: asyncio.StreamReader) -> bytes:
    # Not wait_for: on Python 3.11 it may swallow a cancellation that comes together with the line.
    async with asyncio.timeout(SILENCE_SECONDS):
        return await reader.readline()


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A unix socket's name has room for 107 bytes; by way of the open directory it always fits."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{path.name}", limit=LONGEST_LINE)
    finally:
        os.close(folder)
