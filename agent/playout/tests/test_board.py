"""What the playout says of itself, at its end."""

import asyncio
import json
import threading
from pathlib import Path

import pytest

from agent.playout import board as module
from agent.playout.board import Board
from lab.processes import wait_until


class Speaker:
    """As much of a playout as a board looks at."""

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
