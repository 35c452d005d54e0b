"""The way to a server: the name is asked for anew each time, and all its addresses are tried."""

import asyncio
import socket
from typing import Any

import pytest

from agent.playout.connect import open_link, trusting
from agent.playout.rtmp import Temporary
from agent.playout.target import parse_target

from .servers import NginxRtmp

_look_up = socket.getaddrinfo


def _peer(port: int) -> str:
    async def attempt() -> str:
        target = parse_target(f"rtmp://moving.example:{port}/live", "key")
        link = await open_link(target, lambda: trusting(None), reach_private=True)
        peer = link.peer
        await link.leave()
        return peer

    return asyncio.run(attempt())


def test_a_name_is_looked_up_at_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a platform moves its name, the next attempt goes there."""
    answers = [["127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.1"]]

    def moving(host: Any, *more: Any, **options: Any) -> list[Any]:
        names = answers.pop(0) if host == "moving.example" else [host]
        return [entry for name in names for entry in _look_up(name, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    with NginxRtmp() as server:
        with pytest.raises(Temporary, match="connection refused"):
            _peer(server.port)
        assert _peer(server.port) == "127.0.0.1", "the second address"
        assert _peer(server.port) == "127.0.0.1"
    assert answers == []
