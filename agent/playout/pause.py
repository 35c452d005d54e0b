"""A wait that somebody can cut short."""

import asyncio
from contextlib import suppress


class Pause:
    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        self._over.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    def end(self) -> None:
        """Of the one under way; without one nothing happens."""
        self._over.set()
