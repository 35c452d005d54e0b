"""What the playout says of itself: while its disk fails it, and at its end."""

import asyncio
import errno
import json
import threading
from pathlib import Path

import pytest

from agent.playout import board as module
from agent.playout.board import Board
from lab.processes import wait_until


class Speaker:
    """As much of a playout as a board looks at."""

    key_frame = None

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.phase = "playing"

    def status(self) -> dict[str, str]:
        return {"phase": self.phase}


class HeldWrite:
    """`write_atomically` that the first time does not go on before it may."""

    def __init__(self) -> None:
        self.begun, self.may_go_on = threading.Event(), threading.Event()
        self.at_once = self.most_at_once = 0
        self._write = module.write_atomically

    def __call__(self, path: Path, data: bytes) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        self.may_go_on.wait(10)
        self._write(path, data)
        self.at_once -= 1


class Watcher:
    """A stream writer that keeps what is said."""

    transport = type("Transport", (), {"get_write_buffer_size": staticmethod(lambda: 0)})

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.lines.append

    def is_closing(self) -> bool:
        return False


async def heard(watcher: Watcher, lines: int) -> None:
    await asyncio.to_thread(wait_until, lambda: len(watcher.lines) >= lines, f"{lines} lines", 5)


def test_a_disk_that_takes_nothing_silences_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = HeldWrite()
    monkeypatch.setattr(module, "write_atomically", write)

    async def run() -> None:
        board, watcher = Board(Speaker(), tmp_path), Watcher()
        board.watch(watcher)
        showing = asyncio.create_task(board.run())
        await asyncio.to_thread(write.begun.wait, 10)
        await heard(watcher, len(watcher.lines) + 2)
        write.may_go_on.set()
        showing.cancel()
        await board.last_words()

    asyncio.run(run())
    assert write.most_at_once == 1


def test_a_full_disk_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else nobody would hear of this stream any more, nor find where it was."""
    real, full = module.write_atomically, threading.Event()
    full.set()

    def write(path: Path, data: bytes) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, data)

    monkeypatch.setattr(module, "write_atomically", write)
    monkeypatch.setattr(module, "FILE_S", 0.1)

    async def run() -> None:
        board, watcher = Board(Speaker(), tmp_path), Watcher()
        board.watch(watcher)
        showing = asyncio.create_task(board.run())
        await heard(watcher, 2)
        full.clear()
        await asyncio.to_thread(wait_until, (tmp_path / "status.json").exists, "it is written", 5)
        showing.cancel()

    asyncio.run(run())


def test_the_last_words_wait_for_what_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = HeldWrite()
    monkeypatch.setattr(module, "write_atomically", write)

    async def run() -> None:
        speaker = Speaker()
        board = Board(speaker, tmp_path)
        showing = asyncio.create_task(board.run())
        speaker.changed.set()
        await asyncio.to_thread(wait_until, write.begun.is_set, "the write")
        showing.cancel()
        speaker.phase = "ended"
        ending = asyncio.create_task(board.last_words())
        done, _ = await asyncio.wait([ending], timeout=0.2)
        assert not done
        write.may_go_on.set()
        await ending

    asyncio.run(run())
    assert write.most_at_once == 1
    assert json.loads((tmp_path / "status.json").read_text())["phase"] == "ended"
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"]
