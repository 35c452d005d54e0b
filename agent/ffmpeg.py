"""Running FFmpeg as a child: without privileges, behind everything else, gone when its agent is gone."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from agent import prepare

LINES_KEPT: Final = 20
PROBE_SECONDS: Final = 20.0
LONGEST_LINE: Final = 64 * 1024
LIMITS: Final = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_AS, 4 * 1024**3),
)

Feed = Callable[[asyncio.StreamWriter], Awaitable[None]]


class FfmpegError(Exception):
    """In plain words; `lines` are FFmpeg's own."""

    def __init__(self, reason: str, lines: list[str] | None = None) -> None:
        super().__init__(reason)
        self.lines = lines or []


class Ffmpeg:
    def __init__(self, program: str) -> None:
        self._program = program
        self._setpriv = shutil.which("setpriv")
        self._heavy = asyncio.Semaphore(1)
        self._urgent = asyncio.Semaphore(1)

    async def probe(self, source: Path) -> prepare.Contents:
        """What is in the file, as FFmpeg sees it. Raises `FfmpegError`."""
        arguments = prepare.probe_arguments(self._program, source)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                _, lines = await self._run(arguments, None, heavy=False)
        except TimeoutError as error:
            raise FfmpegError("FFmpeg took too long to look at it") from error
        contents = prepare.read_probe(lines)
        if contents.video_codec is None and contents.audio_codec is None:
            raise FfmpegError(prepare.plain_reason(lines, 1), _marked(lines))
        return contents

    async def convert(
        self, recipe: prepare.Recipe, source: Path | None, output: Path, feed: Feed | None, *, urgent: bool = False
    ) -> list[str]:
        """Writes `output`; returns what FFmpeg said. Raises `FfmpegError`.

        One heavy conversion at a time, and one more of those that a run waits for with nothing to play.
        """
        arguments = prepare.arguments(self._program, recipe, source, output)
        heavy = self._urgent if urgent else self._heavy
        async with heavy if recipe.is_heavy else contextlib.nullcontext():
            code, lines = await self._run(arguments, feed, heavy=recipe.is_heavy)
        if code != 0:
            raise FfmpegError(prepare.plain_reason(lines, code), _marked(lines))
        return _marked(lines)

    async def picture(self, still: Path, output: Path) -> None:
        """One frame as a small JPEG. Raises `FfmpegError`."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                code, lines = await self._run(prepare.picture_arguments(self._program, still, output), None, heavy=True)
        except TimeoutError as error:
            raise FfmpegError("FFmpeg took too long to make a picture") from error
        if code != 0:
            raise FfmpegError(prepare.plain_reason(lines, code), _marked(lines))

    async def slate(self, recipe: Callable[[str], list[str]], within: float, *, heavy: bool) -> list[str]:
        """Runs the arguments that `recipe` gives for the program; returns what FFmpeg said. Raises `FfmpegError`."""
        try:
            async with asyncio.timeout(within):
                code, lines = await self._run(recipe(self._program), None, heavy=heavy)
        except TimeoutError as error:
            raise FfmpegError("FFmpeg took too long to make it") from error
        if code != 0:
            raise FfmpegError(prepare.plain_reason(lines, code), _marked(lines))
        return _marked(lines)

    async def _run(self, arguments: list[str], feed: Feed | None, *, heavy: bool) -> tuple[int, list[str]]:
        process = await asyncio.create_subprocess_exec(
            *prepare.safe_prefix(self._setpriv, heavy=heavy),
            *arguments,
            stdin=asyncio.subprocess.PIPE if feed else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
        )
        feeding = asyncio.create_task(_feed(process, feed)) if feed else None
        try:
            _limit(process.pid)
            lines = await _last_lines(process)
            return await process.wait(), lines
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
            await _end(process)


def _marked(lines: list[str]) -> list[str]:
    return [f"[FFMPEG] {line}" for line in lines]


def _limit(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        for what, most in LIMITS:
            resource.prlimit(pid, what, (most, most))


async def _feed(process: asyncio.subprocess.Process, feed: Feed) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await feed(process.stdin)
    process.stdin.close()


async def _last_lines(process: asyncio.subprocess.Process) -> list[str]:
    kept: deque[str] = deque(maxlen=LINES_KEPT)
    if process.stderr is not None:
        async for raw in _lines(process.stderr):
            kept.append(raw.decode(errors="replace").strip())
    return [line for line in kept if line]


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than any line worth reading
            continue
        if not line:
            return
        yield line


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
