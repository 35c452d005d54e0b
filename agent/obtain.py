"""Getting files ready to go on air: a job per file, with places for those that can wait.

Each job ends in MediaComplete or MediaFailed, unless it was abandoned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from agent.cache import Cache, NoRoom
from agent.downloads import Broken, DownloadError, Trust
from agent.events import Event, MediaComplete, MediaEvicted, MediaFailed, MediaProgress, MediaReady
from agent.ffmpeg import Ffmpeg, FfmpegError
from agent.flvscan import profile_at
from agent.job import Job
from agent.protocol import VideoFile

JOBS: Final = 3
THREADS: Final = 32
"""Downloads at once, urgent ones included: a thread each."""

EASED_SECONDS: Final = 10.0
"""So long those that can wait leave the line to one that a run waits for with nothing to play."""

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
        self._pressing: set[str] = set()
        """Urgent ones whose beginning is still on its way."""
        self._calm = asyncio.Event()
        self._closing = False

    def obtain(self, key: str, item: VideoFile, *, urgent: bool) -> None:
        entry = self._cache.get(key, time.time())
        if entry is not None:
            self._post(MediaComplete(key, str(entry.path), entry.duration_s, (), profile_at(entry.path)))
            return
        previous = self._jobs.get(key)
        if previous is not None:
            previous.cancel()
        job = asyncio.create_task(self._run(key, item, urgent, previous), name=key)
        job.add_done_callback(self._ended)
        self._jobs[key] = job
        if urgent:
            self._pressing.add(key)
            self._calm.clear()

    def _ended(self, job: asyncio.Task[None]) -> None:
        """A bug ends one job, not the wait of those who want its file."""
        if self._jobs.get(job.get_name(), job) is job:
            self._ease(job.get_name())
        error = None if job.cancelled() else job.exception()
        if error is not None:
            log.error("a file's job broke", exc_info=error, extra={"error_type": type(error).__name__})
            self._post(MediaFailed(job.get_name(), "preparing it broke", permanent=False))

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
                if not urgent:
                    await self._give_way()
                await self._try(key, item, urgent)
        finally:
            self._cache.release(key)
            if self._jobs.get(key) is asyncio.current_task():
                del self._jobs[key]

    async def _give_way(self) -> None:
        if self._pressing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EASED_SECONDS):
                    await self._calm.wait()

    def _ease(self, key: str) -> None:
        self._pressing.discard(key)
        if not self._pressing:
            self._calm.set()

    def _tell(self, event: Event) -> None:
        if isinstance(event, MediaReady) or (isinstance(event, MediaProgress) and event.done >= event.total):
            self._ease(event.key)
        self._post(event)

    async def _try(self, key: str, item: VideoFile, urgent: bool) -> None:
        parts = (self._cache, self._trust, self._ffmpeg, self._threads, self._tell)
        job = Job(key, item, *parts, urgent=urgent)
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
            job.lines += error.lines
            self._fail(job, str(error), permanent=True)
        except OSError as error:
            self._fail(job, f"the disk refused it ({error.strerror})", permanent=False)
        finally:
            job.clear(keep_part=keep_part or self._closing)

    def _fail(self, job: Job, reason: str, *, permanent: bool) -> None:
        self._post(MediaFailed(job.key, reason, permanent, tuple(job.lines)))
