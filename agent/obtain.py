"""Getting one file ready to go on air: fetched, prepared (while it arrives, where it allows that), kept.

A job per file; each ends by posting MediaComplete or MediaFailed, unless it was abandoned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from agent import prepare
from agent.cache import Cache, NoRoom
from agent.downloads import Broken, Download, DownloadError, Trust, Wanted
from agent.events import Event, MediaComplete, MediaEvicted, MediaFailed, MediaProgress, MediaReady
from agent.ffmpeg import Feed, Ffmpeg, FfmpegError
from agent.flvscan import Scanner
from agent.protocol import VideoFile

WORTH_A_PIPE: Final = 2 * 1024 * 1024
"""Smaller files are here before FFmpeg would have found its way into the pipe."""
HEAD: Final = 256 * 1024
PROGRESS_SECONDS: Final = 0.25
LOOK_SECONDS: Final = 0.05
JOBS: Final = 3
THREADS: Final = 32
"""Downloads at once, urgent ones included: a thread each."""
log = logging.getLogger("agent.obtain")

Post = Callable[[Event], None]


class Obtainer:
    """Runs the jobs. An urgent one begins at once; the others wait for a place, first come first served."""

    def __init__(self, cache: Cache, trust: Trust, ffmpeg: Ffmpeg, post: Post) -> None:
        self._cache = cache
        self._trust = trust
        self._ffmpeg = ffmpeg
        self._post = post
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(JOBS)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._closing = False

    def obtain(self, key: str, item: VideoFile, *, urgent: bool) -> None:
        entry = self._cache.get(key, time.time())
        if entry is not None:
            self._post(MediaComplete(key, str(entry.path), entry.duration_s))
            return
        previous = self._jobs.get(key)
        if previous is not None:
            previous.cancel()
        self._jobs[key] = asyncio.create_task(self._run(key, item, urgent, previous))

    def abandon(self, key: str) -> None:
        job = self._jobs.get(key)
        if job is not None:
            job.cancel()

    async def close(self) -> None:
        self._closing = True
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _run(self, key: str, item: VideoFile, urgent: bool, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        try:
            async with contextlib.nullcontext() if urgent else self._places:
                await self._try(key, item)
        finally:
            self._cache.release(key)
            if self._jobs.get(key) is asyncio.current_task():
                del self._jobs[key]

    async def _try(self, key: str, item: VideoFile) -> None:
        job = Job(key, item, self._cache, self._trust, self._ffmpeg, self._threads, self._post)
        keep_part = False
        try:
            for evicted in self._cache.promise(key, item.size):
                self._post(MediaEvicted(evicted))
            await job.run()
        except NoRoom as error:
            self._fail(job, str(error), permanent=False)
        except Broken as error:
            keep_part = True
            self._fail(job, str(error), permanent=False)
        except DownloadError as error:
            self._fail(job, str(error), permanent=True)
        except FfmpegError as error:
            self._fail(job, str(error), permanent=True)
        except OSError as error:
            self._fail(job, f"the disk refused it ({error.strerror})", permanent=False)
        finally:
            job.clear(keep_part=keep_part or self._closing)

    def _fail(self, job: Job, reason: str, *, permanent: bool) -> None:
        self._post(MediaFailed(job.key, reason, permanent, tuple(job.lines)))


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
    ) -> None:
        self.key = key
        self.lines: list[str] = []
        self._item = item
        self._cache = cache
        self._trust = trust
        self._ffmpeg = ffmpeg
        self._threads = threads
        self._post = post
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
            await self._convert(prepare.recipe_for(contents), None, self._feed)
        except FfmpegError as error:
            # In a pipe nothing can be looked up twice; from the whole file it may still work.
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
        await self._convert(prepare.recipe_for(contents), self._source, None)

    async def _convert(self, recipe: prepare.Recipe, source: Path | None, feeding: Feed | None) -> None:
        self._output = output = self._cache.output(self.key)
        watching = asyncio.create_task(self._watch(output))
        try:
            self.lines += await self._ffmpeg.convert(recipe, source, output, feeding)
        except FfmpegError as error:
            self.lines += error.lines
            raise
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        scanner = Scanner(output)
        scanner.look(limit=HEAD * 8)
        if scanner.first_video_ms is None:
            raise FfmpegError("there is no picture in it")

    async def _watch(self, output: Path) -> None:
        scanner = Scanner(output)
        while not scanner.plays:
            await asyncio.sleep(LOOK_SECONDS)
            scanner.look()
        self._post(MediaReady(self.key, str(output)))

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
        self._post(MediaComplete(self.key, str(entry.path), duration, tuple(self.lines)))


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
