"""One file's job: fetched, prepared (while it arrives, where that is possible), told when it can play."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from agent import prepare
from agent.cache import Cache
from agent.downloads import Download, Trust, Wanted
from agent.events import Event, MediaComplete, MediaProgress, MediaReady
from agent.ffmpeg import Feed, Ffmpeg, FfmpegError
from agent.flvscan import Scanner, profile_at
from agent.protocol import VideoFile

WORTH_A_PIPE: Final = 2 * 1024 * 1024
"""Smaller files are here before FFmpeg would have found its way into the pipe."""
HEAD: Final = 256 * 1024
PROGRESS_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 0.05
LONGEST_HOLE: Final = 0.1
MOST_FILLINGS: Final = 4

Post = Callable[[Event], None]


class _Hole(Exception):
    """The sound begins `seconds` after the picture."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a hole of {seconds:.3f} s")
        self.seconds = seconds


def _refuse_hole(scanner: Scanner) -> None:
    if scanner.hole_s is not None and scanner.hole_s > LONGEST_HOLE:
        raise _Hole(scanner.hole_s)


class Job:
    def __init__(
        self,
        key: str,
        item: VideoFile,
        cache: Cache,
        trust: Trust,
        ffmpeg: Ffmpeg,
        threads: ThreadPoolExecutor,
        post: Post,
        *,
        urgent: bool = False,
    ) -> None:
        self.key = key
        self.lines: list[str] = []
        self._item = item
        self._cache = cache
        self._trust = trust
        self._ffmpeg = ffmpeg
        self._threads = threads
        self._post = post
        self._urgent = urgent
        self._source = cache.source(key)
        self._output: Path | None = None
        self._have = 0
        self._arrived = asyncio.Event()
        self._told_at = 0.0

    async def run(self) -> None:
        cancelled = threading.Event()
        download = Download(self._wanted(), self._trust, self._from_thread(), cancelled)
        fetching = asyncio.create_task(self._fetch(download))
        arriving = asyncio.create_task(self._prepare_arriving(fetching))
        try:
            await asyncio.wait({fetching, arriving}, return_when=asyncio.FIRST_EXCEPTION)
            await fetching
            prepared = await arriving and not download.began_again
            if not prepared:
                self._drop_output()
                await self._prepare_whole()
        finally:
            cancelled.set()
            arriving.cancel()
            await asyncio.gather(fetching, arriving, return_exceptions=True)
        self._keep()

    def clear(self, *, keep_part: bool) -> None:
        """What is not needed any more; a part may be kept to go on with another time."""
        self._source.unlink(missing_ok=True)
        if not keep_part:
            self._wanted().part.unlink(missing_ok=True)
        self._drop_output()

    # ---------------------------------------------------------------------------------------- fetching

    async def _fetch(self, download: Download) -> None:
        if self._source.exists():
            self._source.replace(self._wanted().part)
        await asyncio.get_running_loop().run_in_executor(self._threads, download.fetch)
        # What FFmpeg waits for at the end is the end itself.
        self._take(self._item.size)

    def _from_thread(self) -> Callable[[int], None]:
        loop = asyncio.get_running_loop()

        def on_bytes(have: int) -> None:
            loop.call_soon_threadsafe(self._take, have)

        return on_bytes

    def _wanted(self) -> Wanted:
        return Wanted(self._item.download_url, self._source, self._item.size, self._item.sha256)

    def _take(self, have: int) -> None:
        self._have = have
        self._arrived.set()
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_SECONDS or have == self._item.size:
            self._told_at = now
            self._post(MediaProgress(self.key, have, self._item.size))

    # --------------------------------------------------------------------------------------- preparing

    async def _prepare_arriving(self, fetching: asyncio.Task[None]) -> bool:
        """Prepares the file while it arrives. False: it must be whole first."""
        contents = prepare.hinted(self._item)
        if contents is None or self._item.size < WORTH_A_PIPE:
            return False
        if not await self._index_is_in_front(fetching):
            return False
        try:
            await self._convert_in_step(contents, None, self._feed)
        except FfmpegError as error:
            # In a pipe nothing can be looked up twice; from the whole file it may still work.
            self.lines += error.lines
            self.lines.append(f"[FFMPEG] while arriving: {error}; trying again from the whole file")
            return False
        return True

    async def _index_is_in_front(self, fetching: asyncio.Task[None]) -> bool:
        while not fetching.done():
            head = self._read(0, HEAD)
            verdict = prepare.moov_in_front(head)
            if verdict is not None or len(head) >= HEAD:
                return bool(verdict)
            await self._wait_for_more()
        return False

    async def _wait_for_more(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    async def _prepare_whole(self) -> None:
        contents = prepare.hinted(self._item) or await self._ffmpeg.probe(self._source)
        if contents.video_codec is None:
            raise FfmpegError("there is no picture in it that FFmpeg can read")
        await self._convert_in_step(contents, self._source, None)

    async def _convert_in_step(self, contents: prepare.Contents, source: Path | None, feeding: Feed | None) -> None:
        """Begins again whenever the sound comes out too late, which shows within the first seconds."""
        recipe = prepare.recipe_for(contents)
        for _ in range(MOST_FILLINGS):
            try:
                await self._convert(recipe, source, feeding)
            except _Hole as hole:
                recipe = recipe.without_hole(hole.seconds)
                self._drop_output()
            else:
                return
        raise FfmpegError("its sound cannot be brought in step with its picture")

    async def _convert(self, recipe: prepare.Recipe, source: Path | None, feeding: Feed | None) -> None:
        """Raises `FfmpegError`; `_Hole` when the sound comes too late, before it is told ready."""
        self._output = output = self._cache.output(self.key)
        making = self._ffmpeg.convert(recipe, source, output, feeding, urgent=self._urgent)
        working = asyncio.create_task(making)
        watching = asyncio.create_task(self._watch(output))
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not watching.done():
                await asyncio.wait({working})
            if watching.done():
                await watching
            self.lines += await working
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)
        self._check(output)

    def _check(self, output: Path) -> None:
        scanner = Scanner(output)
        scanner.look(limit=HEAD * 8)
        if scanner.first_video_ms is None:
            raise FfmpegError("there is no picture in it")
        _refuse_hole(scanner)

    async def _watch(self, output: Path) -> None:
        scanner = Scanner(output)
        while not scanner.plays or scanner.hole_s is None:
            await asyncio.sleep(LOOK_SECONDS)
            scanner.look()
        _refuse_hole(scanner)
        self._post(MediaReady(self.key, str(output), profile_at(output)))

    async def _feed(self, pipe: asyncio.StreamWriter) -> None:
        """The bytes as they arrive, to FFmpeg's standard input."""
        at = 0
        while at < self._item.size:
            block = self._read(at, HEAD * 4)
            if block:
                pipe.write(block)
                await pipe.drain()
                at += len(block)
            elif self._have <= at:
                await self._wait_for_more()

    def _read(self, at: int, size: int) -> bytes:
        for path in (self._wanted().part, self._source):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(at)
                return file.read(size)
        return b""

    def _drop_output(self) -> None:
        if self._output is not None:
            self._output.unlink(missing_ok=True)
            self._output = None

    def _keep(self) -> None:
        output, self._output = self._output, None
        if output is None:
            raise FfmpegError("nothing came of it")
        duration = self._item.duration_s or length_of(output)
        entry = self._cache.commit(self.key, output, duration, time.time())
        looks = profile_at(entry.path)
        self._post(MediaComplete(self.key, str(entry.path), duration, tuple(self.lines), looks))


def length_of(path: Path) -> float | None:
    """What FFmpeg wrote into the FLV's metadata when it was done."""
    with path.open("rb") as file:
        head = file.read(4096)
    at = head.find(b"\x00\x08duration\x00")
    if at < 0:
        return None
    raw = head[at + 11 : at + 19]
    seconds = float(struct.unpack(">d", raw)[0]) if len(raw) == 8 else 0.0
    return seconds if seconds > 0 else None
