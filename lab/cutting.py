"""A wire that can be cut: a TCP port on loopback that leads to a unix socket, and at times leads nowhere."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from lab.ports import free_port

_READ = 64 * 1024


class Wire:
    """`with Wire(path) as wire:` listens on `wire.port`.

    Cut, it is as when a cable is pulled: nothing passes, nothing is refused or closed, neither end is told. Whole
    again, what was on its way arrives late, as TCP would have it.
    """

    def __init__(self, leads_to: Path) -> None:
        self.port = free_port()
        self._leads_to = leads_to
        self._loop = asyncio.new_event_loop()
        self._whole = asyncio.Event()
        self._listening = threading.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name=f"wire {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._whole.set()
        self._thread.start()
        self._listening.wait(5.0)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        self._loop.call_soon_threadsafe(self._whole.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._whole.set)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", self.port))
        self._listening.set()
        self._loop.run_forever()
        server.close()
        for task in self._connections:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        self._loop.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await self._whole.wait()
            far_reader, far_writer = await asyncio.open_unix_connection(str(self._leads_to))
            with contextlib.closing(far_writer):
                pumps = [asyncio.create_task(self._pump(reader, far_writer))]
                pumps.append(asyncio.create_task(self._pump(far_reader, writer)))
                await self._until_one_ends(pumps)

    async def _until_one_ends(self, pumps: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The end of a connection has to wait for the wire as well."""
        data = b"not yet"
        while data:
            data = await reader.read(_READ)
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
