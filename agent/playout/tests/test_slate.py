"""The slate: on air whenever nothing else can be, at every stage, on the same connection."""

import asyncio
import itertools
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.playout.flv import VIDEO, FlvParser
from agent.playout.packets import Packet
from agent.playout.plan import parse_plan
from agent.playout.playlist import Playlist
from agent.playout.programme import Programme
from lab.processes import wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, item, items, no_inputs
from .servers import NginxRtmp

SLATE = clip("slate", seconds=2)
LONG = [clip(name, seconds=6) for name in "ab"]


@pytest.fixture(scope="module")
def server() -> Iterator[NginxRtmp]:
    with NginxRtmp() as running:
        yield running


@pytest.fixture
def place(server: NginxRtmp, tmp_path: Path) -> dict:
    return destination(1, server.url, f"key-{tmp_path.name}")


def _recorded(server: NginxRtmp, place: dict) -> recordings.Recording:
    (file,) = server.recordings_of(place["key"])
    return recordings.read(file)


def _until(playout: RunningPlayout, **wanted: Any) -> dict[str, Any]:
    def is_so(status: dict[str, Any]) -> bool:
        return all(status[name] == value for name, value in wanted.items())

    wait_until(lambda: is_so(playout.status()), f"{wanted}", 4)
    return playout.status()


def _no_gap(recording: recordings.Recording) -> None:
    """A frame stands for at most the 40 ms of its rate and what one boundary adds."""
    assert min(recording.gaps(VIDEO)) >= 0
    assert max(recording.gaps(VIDEO)) <= 150


def test_pause_shows_the_slate_and_resume_goes_on_where_it_was(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place], slate=str(SLATE)) as playout:
        wait_until(lambda: playout.status()["position_s"] > 2, "two seconds played")
        assert playout.order("pause") == {"ok": True, "item_id": None}
        status = playout.status()
        assert (status["phase"], status["slate"], status["paused"], status["item_id"]) == (
            "slate",
            "paused",
            True,
            None,
        )
        held = status["resume"]["position_ms"]
        assert playout.order("pause")["error"] == "it is paused already"
        wait_until(lambda: playout.status()["destinations"][0]["bytes_sent"] > 0, "sent")
        frames = len([tag for tag in FlvParser().feed(SLATE.read_bytes()) if tag.kind == VIDEO])
        wait_until(lambda: _shown(playout) > held + 2500, "the slate went round")
        assert playout.order("resume") == {"ok": True, "item_id": 1}
        status = playout.status()
        assert held / 1000 - 1.1 <= status["position_s"] <= held / 1000 + 1.5
        assert status["destinations"][0]["reconnects"] == 0
        wait_until(lambda: playout.status()["position_s"] > 3.5, "it goes on")
    got = _recorded(server, place)
    _no_gap(got)
    assert len(got.stamps(VIDEO)) > frames


def _shown(playout: RunningPlayout) -> float:
    """How long the run is on air, in ms."""
    status = playout.status()
    return float(1000 * (status["written_at"] - status["started_at"]))


def test_a_steering_order_ends_the_pause(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place], slate=str(SLATE)) as playout:
        playout.wait_for_item(1)
        assert playout.order("pause")["item_id"] is None
        assert playout.order("next") == {"ok": True, "item_id": 2}
        assert playout.status()["paused"] is False


def test_the_pause_outlives_the_process(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place], slate=str(SLATE)) as playout:
        wait_until(lambda: playout.status()["position_s"] > 2, "two seconds played")
        playout.order("pause")
        wait_until(lambda: '"paused": true' in (tmp_path / "status.json").read_text(), "written down")
        os.kill(playout.process.pid, signal.SIGKILL)
        playout.process.wait()
    with RunningPlayout(tmp_path, items(*LONG), [place], slate=str(SLATE), resume=True) as playout:
        status = _until(playout, phase="slate")
        assert status["resume"]["item_id"] == 1
        assert 900 <= status["resume"]["position_ms"] <= 4000
        assert playout.order("resume") == {"ok": True, "item_id": 1}


@pytest.mark.parametrize(
    ("playlist", "reason"),
    [
        (lambda home: [], "the playlist is empty"),
        (lambda home: [item(1, home / "x.flv", ready=False)], "no video of the playlist is here yet"),
        (lambda home: [item(1, home / "x.flv")], "nothing in the playlist can be played"),
        (lambda home: [item(1, home / "x.flv", failed="it is damaged")], "nothing in the playlist can be played"),
    ],
)
def test_the_slate_is_there_from_the_start_when_nothing_else_is(
    server: NginxRtmp, place: dict, tmp_path: Path, playlist: Callable[[Path], list], reason: str
) -> None:
    with RunningPlayout(tmp_path, playlist(tmp_path), [place], slate=str(SLATE)) as playout:
        playout.wait_for_state(1, "live")
        assert _until(playout, phase="slate")["slate"] == reason
        playout.reload(items=[item(7, LONG[0])])
        status = _until(playout, phase="playing", item_id=7)
        assert status["slate"] is None
        assert status["destinations"][0]["reconnects"] == 0
    _no_gap(_recorded(server, place))


def test_an_item_that_is_there_at_once_has_no_slate_before_it(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(LONG[0]), [place], slate=str(SLATE)) as playout:
        seen = playout.watch_until(lambda status: status["position_s"] > 1)
    assert "slate" not in {status["phase"] for status in seen}


def test_a_download_that_cannot_keep_up_is_bridged_and_said(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    data = LONG[0].read_bytes()
    key_frames = [tag for tag in FlvParser().feed(data) if tag.is_key_frame]
    growing = tmp_path / "growing.flv"
    growing.write_bytes(data[: key_frames[2].offset + 5000])
    arriving = item(1, growing, complete=False, title="big.mp4", slate=str(SLATE))
    with RunningPlayout(tmp_path, [arriving], [place]) as playout:
        status = _until(playout, phase="slate")
        assert status["slate"] == "«big.mp4» is still being downloaded"
        growing.write_bytes(data)
        status = _until(playout, phase="playing")
        assert status["item_id"] == 1
        assert status["destinations"][0]["reconnects"] == 0
        assert status["items_played"] == 0
        playout.reload(items=[arriving | {"complete": True}, item(2, LONG[1])])
        playout.wait_for_item(2)
    got = _recorded(server, place)
    _no_gap(got)
    assert len(got.stamps(VIDEO)) >= 150


def test_a_damaged_item_is_skipped_for_the_slate_and_tried_again_when_it_has_changed(
    place: dict, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.flv"
    damaged.write_bytes(LONG[0].read_bytes()[:400] + bytes(100_000))
    with RunningPlayout(tmp_path, [item(1, damaged)], [place], slate=str(SLATE)) as playout:
        status = _until(playout, phase="slate")
        assert status["slate"] == "nothing in the playlist can be played"
        assert "damaged" in status["skipped"][0]["reason"]
        damaged.write_bytes(LONG[0].read_bytes())
        playout.reload(items=[item(1, damaged)])
        assert _until(playout, phase="playing")["skipped"] == []


def test_the_slate_is_the_item_s_own_and_a_bad_one_gives_way(place: dict, tmp_path: Path) -> None:
    (tmp_path / "bad.flv").write_bytes(b"no slate")
    own = item(1, LONG[0], slate=str(tmp_path / "bad.flv"))
    with RunningPlayout(tmp_path, [own], [place], slate=str(SLATE)) as playout:
        playout.wait_for_item(1)
        playout.order("pause")
        assert _until(playout, phase="slate")["paused"]
        playout.reload(items=[own | {"slate": str(SLATE)}])
        assert playout.order("resume")["item_id"] == 1


def test_without_any_slate_nothing_is_shown_and_the_connection_stays(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(LONG[0]), [place]) as playout:
        playout.wait_for_state(1, "live")
        assert playout.order("pause")["ok"]
        _until(playout, phase="waiting")
        assert playout.order("resume")["item_id"] == 1
        assert playout.destination(1)["reconnects"] == 0


def _programme(playlist: list[dict], *, loop: bool = True) -> Programme:
    plan = parse_plan(
        {
            "stream_id": 1,
            "run_id": "r",
            "epoch": 1,
            "loop": loop,
            "order": "sequential",
            "items": playlist,
            "destinations": [],
        }
    )
    rng = random.Random(1)
    playlist = Playlist(plan.items, plan.order, plan.loop, rng)
    return Programme(playlist, no_inputs(), lambda: None, slate=str(SLATE))


async def _pull(programme: Programme, limit: int, must: int) -> list[Packet]:
    """All there is up to `limit`; the files are read in between."""
    packets: list[Packet] = []
    async with asyncio.timeout(10):
        while programme.timeline.end < must:
            packets += programme.pull(limit, must)
            await asyncio.sleep(0)
    return packets


async def test_the_slate_comes_only_when_the_line_would_end(tmp_path: Path) -> None:
    programme = _programme([item(1, tmp_path / "x.flv", ready=False)])
    assert programme.pull(700) == []
    assert programme.slate_reason is None
    packets = await _pull(programme, 700, 300)
    assert programme.slate_reason == "no video of the playlist is here yet"
    assert packets[0].timestamp == 0
    programme.close()


async def test_many_hours_of_slate_are_one_line_without_a_step_back() -> None:
    programme = _programme([])
    packets: list[Packet] = []
    for second in range(1, 120):
        packets += await _pull(programme, second * 1000, second * 1000)
    stamps = [packet.timestamp for packet in packets if packet.kind == VIDEO]
    assert stamps == sorted(stamps)
    assert max(b - a for a, b in itertools.pairwise(stamps)) <= 100
    programme.close()


async def test_a_list_that_ends_behind_the_slate_is_finished() -> None:
    programme = _programme(items(clip("a")), loop=False)
    await _pull(programme, 1500, 1000)
    programme.pause()
    await _pull(programme, 4000, 4000)
    programme.next()
    async with asyncio.timeout(10):
        while not programme.finished:
            programme.pull(4000, 4000)
            await asyncio.sleep(0)
    assert programme.items_played == 1
    programme.close()
