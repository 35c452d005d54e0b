"""The programme without destinations and without pacing: what would go out, as a server decodes it."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from agent.playout.chunks import OUR_CHUNK_SIZE, ChunkDecoder
from agent.playout.flv import AUDIO, VIDEO
from agent.playout.packets import Packet
from agent.playout.plan import Plan, parse_plan
from agent.playout.playlist import Playlist
from agent.playout.playout import Playout
from agent.playout.programme import Programme
from agent.playout.timeline import Timeline

from . import recordings
from .clips import clip
from .driver import destination, items, no_inputs
from .servers import NginxRtmp


def _plan(**changes: Any) -> Plan:
    plain = {
        "stream_id": 1,
        "run_id": "r",
        "epoch": 1,
        "loop": True,
        "order": "sequential",
        "reach_private": True,
        "destinations": [],
    }
    return parse_plan(plain | changes)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 20))


async def _packets(start: int, length_ms: int) -> list[Packet]:
    plan = _plan(items=items(clip("a"), clip("b", rate=30)))
    woken = asyncio.Event()
    playlist = Playlist(plan.items, "sequential", True, random.Random())
    programme = Programme(playlist, no_inputs(), woken.set, start)
    packets: list[Packet] = []
    while not packets or packets[-1].timestamp < start + length_ms:
        packets += programme.pull(start + length_ms)
        if programme.state == "starved":
            await woken.wait()
            woken.clear()
    programme.close()
    return packets


@pytest.mark.parametrize("start", [0, 2**24 - 3000, 2**31 - 3000, 2**32 - 3000])
def test_relative_headers_and_true_time_agree_past_every_edge(start: int) -> None:
    packets = _run(_packets(start, 9000))
    first = {}
    for at, packet in enumerate(packets):
        first.setdefault(packet.kind, at)
    data = b"".join(
        packet.absolute(1) if first[packet.kind] == at else packet.relative for at, packet in enumerate(packets)
    )
    decoder = ChunkDecoder()
    decoder._chunk_size = OUR_CHUNK_SIZE
    got = decoder.feed(data)
    assert [message.timestamp for message in got] == [packet.timestamp % 2**32 for packet in packets]
    assert [message.payload for message in got] == [packet.payload for packet in packets]


@pytest.mark.parametrize("start", [2**24 - 1500, 2**31 - 1500, 2**32 - 1500])
def test_a_real_server_takes_the_stream_past_every_edge(start: int) -> None:
    async def play(url: str) -> None:
        plan = _plan(items=items(clip("a")), loop=False, destinations=[destination(1, url)])
        playout = Playout(plan, random.Random())
        playout.programme.timeline = Timeline(start)
        assert await playout.run() == "finished"

    with NginxRtmp() as server:
        _run(play(server.url))
        got = recordings.read(server.recordings_of("key1")[0])
    assert len(got.stamps(VIDEO)) == 50
    for kind in (VIDEO, AUDIO):
        assert {gap % 2**32 for gap in got.gaps(kind)} <= set(range(15, 60))


def test_a_bug_with_an_item_skips_it_and_a_bug_in_a_leg_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(url: str) -> tuple[str, dict[str, Any]]:
        places = [destination(1, url), destination(2, url)]
        plan = _plan(items=items(clip("a"), clip("d")), loop=False, destinations=places)
        playout = Playout(plan, random.Random())
        media = playout.programme._media

        def first_item_is_poison(source: Any, tag: Any, limit: int) -> Packet | None:
            if source.item.item_id == 1 and tag.timestamp > 500:
                raise ZeroDivisionError
            return media(source, tag, limit)

        monkeypatch.setattr(playout.programme, "_media", first_item_is_poison)
        task = asyncio.create_task(playout.run())
        await playout.changed.wait()
        monkeypatch.setattr(playout.outputs.legs[2], "send", lambda batch, limit: 1 // 0)
        return await task, playout.status()

    with NginxRtmp() as server:
        reason, status = _run(play(server.url))
        got = recordings.read(server.recordings_of("key1")[0])
    assert reason == "finished"
    assert status["skipped"] == [{"file_id": 1, "reason": "internal error (ZeroDivisionError)"}]
    assert len(got.stamps(VIDEO)) >= 50
    assert min(got.gaps(VIDEO)) >= 0
