"""Open pages for `bench.fleet`: WebSocket clients at the real Daphne, and how long an event takes to reach one.

An event is a destination of the page's stream that is lost for a reason with a word of its own in it; it has arrived
when a frame with that word comes. Then it is live again, which is not measured.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Any, Final

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

from bench.fleet_agents import Agent, Fleet, SimRun

EVERY_S: Final = 12.0
"""Between two events of one page."""
GIVEN_UP_S: Final = 15.0
OPENED_AT_ONCE: Final = 4
OPEN_LIMIT_S: Final = 240.0


class Page(WebSocketClientProtocol):
    """One open page. `seconds`: of events that arrived."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.frames = 0
        self._awaited = b""
        self._arrived = asyncio.Event()

    def onOpen(self) -> None:
        self.opened.set()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.frames += 1
        if self._awaited and self._awaited in payload:
            self._arrived.set()

    async def arrival(self, word: str) -> float | None:
        """When a frame with that word came (monotonic), None when none did."""
        self._awaited, self._arrived = word.encode(), asyncio.Event()
        try:
            await asyncio.wait_for(self._arrived.wait(), GIVEN_UP_S)
        except TimeoutError:
            return None
        return time.monotonic()


class Pages:
    """`seconds` from each event to its page; `missed` events never came."""

    def __init__(self, port: int, fleet: Fleet, rows: Iterable[dict[str, Any]]) -> None:
        self.seconds: list[float] = []
        self.missed = 0
        self._port, self._fleet = port, fleet
        self._rows = list(rows)
        self._pages: list[Page] = []

    async def open(self) -> None:
        for at in range(0, len(self._rows), OPENED_AT_ONCE):
            lot = self._rows[at : at + OPENED_AT_ONCE]
            self._pages += await asyncio.gather(*(self._open(row) for row in lot))

    async def _open(self, row: dict[str, Any]) -> Page:
        origin = f"http://127.0.0.1:{self._port}"
        factory = WebSocketClientFactory(
            f"ws://127.0.0.1:{self._port}/ws/stream/{row['stream']}",
            origin=origin,
            headers={"Cookie": f"sessionid={row['session']}"},
        )
        factory.protocol = Page
        factory.setProtocolOptions(openHandshakeTimeout=OPEN_LIMIT_S)
        _, page = await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", self._port)
        await asyncio.wait_for(page.opened.wait(), OPEN_LIMIT_S)
        return page

    async def run(self) -> None:
        pairs = zip(self._rows, self._pages, strict=True)
        await asyncio.gather(*(self._events_of(row, page) for row, page in pairs))

    async def _events_of(self, row: dict[str, Any], page: Page) -> None:
        agent = self._fleet.agents[row["vps"]]
        run = agent.runs[row["stream"]]
        number = 0
        await asyncio.sleep(random.uniform(0, EVERY_S))
        while True:
            number += 1
            await self._event(agent, run, page, f"mark-{run.stream_id}-{number}-end")
            await asyncio.sleep(random.uniform(0.8, 1.2) * EVERY_S / 2)
            await self._say(agent, run, "")
            await asyncio.sleep(random.uniform(0.8, 1.2) * EVERY_S / 2)

    async def _event(self, agent: Agent, run: SimRun, page: Page, word: str) -> None:
        arriving = asyncio.create_task(page.arrival(word))
        await asyncio.sleep(0)
        said_at = await self._say(agent, run, f"the server closed it ({word})")
        arrived_at = await arriving
        if arrived_at is None:
            self.missed += 1
        else:
            self.seconds.append(arrived_at - said_at)

    async def _say(self, agent: Agent, run: SimRun, lost: str) -> float:
        run.lost, run.since = lost, time.time()
        run.changed()
        return await self._fleet.beat(agent)
