"""The agent's end of the control socket."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.playout_link import SOCKET, PlayoutLink

Said = list[dict[str, object]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


def _answering(heard: Said) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            heard.append(json.loads(line))
            writer.write(b'{"ok": true}\n')
        writer.close()

    return serve


def test_a_path_longer_than_a_sockets_name_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = tmp_path / ("a long name" * 10)
    run_dir.mkdir()
    monkeypatch.chdir(run_dir)
    heard: Said = []

    async def run() -> None:
        server = await asyncio.start_unix_server(_answering(heard), SOCKET)
        async with server:
            link = PlayoutLink("r1", run_dir, lambda status: None)
            assert await link.next()
            await link.close()

    asyncio.run(run())
    assert {"order": "next"} in heard
