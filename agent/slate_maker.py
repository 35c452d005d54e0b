"""Having slates ready: found in the cache, made by FFmpeg, or of the owner's file, which is fetched once.

Each `make` ends in SlateReady or SlateFailed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from agent import shelf, slate_recipe
from agent.cache import Cache, NoRoom
from agent.downloads import Broken, Download, DownloadError, Trust, Wanted
from agent.events import Event, MediaEvicted, SlateFailed, SlateReady
from agent.ffmpeg import Ffmpeg, FfmpegError
from agent.profile import DEFAULT, Profile
from agent.protocol import SlateFile

PROMISED: Final = 4 * 1024 * 1024
"""Bytes a slate may come to; one of a clip is counted once it is there."""
THREADS: Final = 4
STILL_SECONDS: Final = 60.0
CLIP_SECONDS: Final = 600.0
"""So long FFmpeg may take, on a machine that has other things to do."""
log = logging.getLogger("agent.slates")

Post = Callable[[Event], None]


class SlateMaker:
    """One slate of each kind at a time: those of a clip take a while, and nobody else's wait for them."""

    def __init__(self, cache: Cache, trust: Trust, ffmpeg: Ffmpeg, post: Post) -> None:
        self._cache = cache
        self._trust = trust
        self._ffmpeg = ffmpeg
        self._post = post
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(1))
        self._fetching: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="slate")
        self._cancelled = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def make(self, key: str, profile: Profile, file: SlateFile | None) -> None:
        task = asyncio.create_task(self._run(key, profile, file), name=key)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A bug ends one slate, and another is shown."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("making a slate broke", exc_info=error, extra={"error_type": type(error).__name__})
            self._post(SlateFailed(task.get_name(), "making it broke", permanent=True))

    async def close(self) -> None:
        self._cancelled.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False)

    async def _run(self, key: str, profile: Profile, file: SlateFile | None) -> None:
        entry = self._cache.get(key, time.time())
        if entry is not None:
            self._post(SlateReady(key, str(entry.path)))
            return
        try:
            self._post(await self._make(key, profile, file))
        except (NoRoom, Broken) as error:
            self._post(SlateFailed(key, str(error), permanent=False))
        except DownloadError as error:
            self._post(SlateFailed(key, str(error), permanent=True))
        except FfmpegError as error:
            # Without the one of the default profile there may be nothing to show at all.
            last_resort = file is None and profile == DEFAULT
            self._post(SlateFailed(key, str(error), permanent=not last_resort, log=tuple(error.lines)))
        except OSError as error:
            self._post(SlateFailed(key, f"the disk refused it ({error.strerror})", permanent=False))

    async def _make(self, key: str, profile: Profile, file: SlateFile | None) -> SlateReady:
        source = await self._fetched(file) if file else None
        output = self._cache.output(key)
        self._promise(key, PROMISED)
        try:
            lines = await self._film(profile, file, source, output)
            seconds = slate_recipe.SECONDS if file is None or file.kind == "picture" else None
            entry = self._cache.commit(key, output, seconds, time.time())
        finally:
            self._cache.release(key)
            if not self._cache.has(key):
                output.unlink(missing_ok=True)
        return SlateReady(key, str(entry.path), tuple(lines))

    def _promise(self, key: str, size: int) -> None:
        for evicted in self._cache.promise(key, size):
            self._post(MediaEvicted(evicted))

    # ---------------------------------------------------------------------------------------- fetching

    async def _fetched(self, file: SlateFile) -> Path:
        """The owner's file as it is, kept in the cache for the other profiles to come."""
        key = shelf.source_key(file)
        async with self._fetching[key]:
            entry = self._cache.get(key, time.time())
            if entry is None:
                await self._fetch(key, file)
                entry = self._cache.commit(key, self._cache.source(key), None, time.time())
            return entry.path

    async def _fetch(self, key: str, file: SlateFile) -> None:
        wanted = Wanted(file.download_url, self._cache.source(key), file.size, file.sha256)
        download = Download(wanted, self._trust, lambda _have: None, self._cancelled)
        self._promise(key, file.size)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, download.fetch)
        except DownloadError as error:
            if not isinstance(error, Broken) and not self._cancelled.is_set():
                wanted.part.unlink(missing_ok=True)
            raise
        finally:
            self._cache.release(key)

    # ------------------------------------------------------------------------------------------ making

    async def _film(self, profile: Profile, file: SlateFile | None, source: Path | None, output: Path) -> list[str]:
        async with self._places[file.kind if file else ""]:
            if file is None or source is None:
                return await self._film_made(profile, output)
            if file.kind == "picture":
                return await self._film_picture(profile, source, output)
            contents = await self._ffmpeg.probe(source)
            if contents.video_codec is None:
                raise FfmpegError("there is no picture in it that FFmpeg can read")
            return await self._ffmpeg.slate(
                lambda program: slate_recipe.of_clip(program, profile, source, contents, output),
                CLIP_SECONDS,
                heavy=True,
            )

    async def _film_made(self, profile: Profile, output: Path) -> list[str]:
        """With words where a font is found, else without."""
        try:
            return await self._film_still(lambda program: slate_recipe.made(program, profile, output, text=True))
        except FfmpegError:
            return await self._film_still(lambda program: slate_recipe.made(program, profile, output, text=False))

    async def _film_picture(self, profile: Profile, source: Path, output: Path) -> list[str]:
        with source.open("rb") as file:
            form = slate_recipe.picture_format(file.read(16))
        if form is None:
            raise FfmpegError("it is no PNG, JPEG or WebP picture")
        return await self._film_still(lambda program: slate_recipe.of_picture(program, profile, source, form, output))

    async def _film_still(self, recipe: Callable[[str], list[str]]) -> list[str]:
        return await self._ffmpeg.slate(recipe, STILL_SECONDS, heavy=False)
