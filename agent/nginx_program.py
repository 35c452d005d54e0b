"""nginx itself: its check, its reload, and whether it has really loaded what it was asked to."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Set
from pathlib import Path
from typing import Final

from agent.playout.rtmp import NONCE_SIZE, Phase, RtmpError, Session
from agent.playout.target import HIDDEN, parse_target

LOAD_SECONDS: Final = 5.0
PROGRAM_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 0.1
LOOKS: Final = 3
"""In a row: for a moment the workers before it accept connections too."""
LONGEST_WORDS: Final = 200
_NOISE: Final = re.compile(r"^\d+#\d+: |(?<=\W)/(?:[^\s/\"]+/)+")


class NginxError(Exception):
    """In plain words, without keys."""


class Program:
    def __init__(self, name: str, port: int) -> None:
        """`port`: where its RTMP listens on loopback."""
        self._name = name
        self.port = port

    async def check(self, main: Path, keys: Set[str]) -> None:
        """Raises NginxError; the keys are hidden in what nginx says."""
        await self._run("-t", "-q", "-c", str(main), keys=keys)

    async def reload(self, main: Path) -> None:
        """Only asks it to. Raises NginxError."""
        await self._run("-s", "reload", "-c", str(main))

    async def until_answers(self, application: str) -> None:
        """Raises NginxError."""
        seen = 0
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                while seen < LOOKS:
                    seen = seen + 1 if await self.answers(application) else 0
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise NginxError(f"nginx has not loaded it within {LOAD_SECONDS:.0f} s") from None

    async def answers(self, application: str) -> bool:
        """Whether it takes a connection to this application."""
        target = parse_target(f"rtmp://127.0.0.1:{self.port}/{application}", "none")
        session = Session(target, os.urandom(NONCE_SIZE))
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection(target.host, target.port)
                with contextlib.closing(writer):
                    return await _is_taken(session, reader, writer)
        except (OSError, RtmpError):
            return False

    async def _run(self, *arguments: str, keys: Set[str] = frozenset()) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                self._name,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise NginxError(f"nginx cannot be run ({error.strerror})") from error
        try:
            async with asyncio.timeout(PROGRAM_SECONDS):
                _, said = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise NginxError("nginx does not end") from None
        if process.returncode != 0:
            raise NginxError(f"nginx refuses: {plain(said.decode(errors='replace'), keys)}")


async def _is_taken(session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    while session.phase < Phase.CREATE:
        writer.write(session.take_output())
        data = await reader.read(4096)
        if not data:
            return False
        session.receive(data)
    return True


def plain(said: str, keys: Set[str]) -> str:
    """Its last complaint, without numbers of processes and the way to its files. nginx quotes what it reads."""
    lines = [line for line in said.splitlines() if line.strip()]
    worst = [line for line in lines if "[emerg]" in line or "[error]" in line] or lines
    if not worst:
        return "it does not say why"
    words = worst[-1].partition("] ")[2] or worst[-1]
    for key in sorted(keys - {""}, key=len, reverse=True):
        words = words.replace(key, HIDDEN)
    return _NOISE.sub("", words)[:LONGEST_WORDS]
