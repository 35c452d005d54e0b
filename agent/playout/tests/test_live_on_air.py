"""Live inputs in the real playout: on air when their turn comes, bridged when they go away, back when they are well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.playout.flv import VIDEO
from lab.processes import wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, item
from .live_inputs import to_rtmp
from .servers import NginxRtmp

SLATE = clip("slate", seconds=2)
LONG = clip("a", seconds=6)
BACK_S = 25.0
"""Stable for 10 s, and the time until the sender is up and noticed."""


@pytest.fixture(scope="module")
def server() -> Iterator[NginxRtmp]:
    with NginxRtmp() as running:
        yield running


@pytest.fixture
def camera(server: NginxRtmp, tmp_path: Path) -> str:
    return f"{server.url}/camera-{tmp_path.name}"


@pytest.fixture
def place(server: NginxRtmp, tmp_path: Path) -> dict:
    return destination(1, server.url, f"key-{tmp_path.name}")


def _live(url: str) -> dict[str, Any]:
    return item(1, "", file_id=-1, title="Camera", complete=False, live_url=url)


def _until(playout: RunningPlayout, limit_s: float = 6, **wanted: Any) -> dict[str, Any]:
    def is_so() -> bool:
        status = playout.status()
        return all(status[name] == value for name, value in wanted.items())

    wait_until(is_so, f"{wanted}", limit_s)
    return playout.status()


def test_it_goes_away_and_comes_back_and_the_connection_stays(
    server: NginxRtmp, camera: str, place: dict, tmp_path: Path
) -> None:
    with (
        to_rtmp(camera) as sender,
        RunningPlayout(tmp_path, [_live(camera), item(2, LONG)], [place], slate=str(SLATE)) as playout,
    ):
        status = _until(playout, item_id=1, phase="playing")
        assert status["input"]["state"] == "on"
        sender.kill()
        status = _until(playout, phase="slate")
        assert "stopped sending" in status["slate"] or "is away" in status["slate"]
        status = _until(playout, item_id=2, phase="playing")
        assert status["input"]["state"] == "away"
        assert status["input"]["reason"]
        sender.start()
        wait_until(lambda: playout.status()["input"]["state"] == "returning", "it sends again", 10)
        status = _until(playout, BACK_S, item_id=1, phase="playing")
        assert status["input"]["state"] == "on"
        wait_until(lambda: playout.status()["position_s"] > 1, "it goes on")
        assert playout.destination(1)["reconnects"] == 0
        assert camera.rpartition("/")[2] not in playout.log()
        assert playout.order("next") == {"ok": True, "item_id": 2}
        assert playout.status()["input"] is None
    (file,) = server.recordings_of(place["key"])
    got = recordings.read(file)
    assert min(got.gaps(VIDEO)) >= 0
    assert max(got.gaps(VIDEO)) <= 250


def test_alone_in_the_list_the_slate_waits_for_it(camera: str, place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, [_live(camera)], [place], slate=str(SLATE)) as playout:
        status = _until(playout, 8, phase="slate")
        wait_until(lambda: "«Camera» is away" in (playout.status()["slate"] or ""), "the reason", 15)
        with to_rtmp(camera):
            _until(playout, BACK_S, item_id=1, phase="playing")
            assert playout.order("pause") == {"ok": True, "item_id": None}
            assert playout.order("resume")["ok"]
            _until(playout, item_id=1, phase="playing")
            playout.reload(items=[item(2, LONG)])
            status = _until(playout, item_id=2, phase="playing")
        assert status["input"] is None
        assert playout.destination(1)["reconnects"] == 0


def test_its_turn_comes_without_a_slate_before_it(camera: str, place: dict, tmp_path: Path) -> None:
    """The next item is made ready while the one before it still plays."""
    short = clip("short", seconds=5)
    with (
        to_rtmp(camera),
        RunningPlayout(tmp_path, [item(2, short, duration_s=5.0), _live(camera)], [place], slate=str(SLATE)) as playout,
    ):
        seen = playout.watch_until(lambda status: status["item_id"] == 1, 12)
    assert "slate" not in {status["phase"] for status in seen}
