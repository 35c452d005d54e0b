"""Orders on the control socket, and what really happens then."""

import contextlib
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.playout.flv import VIDEO
from lab.processes import ROOM, wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, item, items
from .servers import NginxRtmp


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


LONG = [clip(name, seconds=6) for name in "abcd"]


@pytest.mark.parametrize("how", ["order", "SIGTERM"])
def test_stop_unpublishes_and_ends_within_a_second(server: NginxRtmp, place: dict, tmp_path: Path, how: str) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        playout.wait_for_state(1, "live")
        before, deletions = time.monotonic(), server.log().count("deleteStream")
        if how == "order":
            assert playout.order("stop") == {"ok": True}
        else:
            playout.process.send_signal(signal.SIGTERM)
        end = playout.exit()
        took = time.monotonic() - before
        wait_until(lambda: server.log().count("deleteStream") > deletions, "deleteStream")
    assert (end["code"], end["reason"], end["status"]["phase"]) == (0, "stopped", "ended")
    assert playout.process.returncode == 0
    assert took < 1 * ROOM
    assert not (tmp_path / "control.sock").exists()


def test_next_and_jump_change_the_item_and_keep_the_connection(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        playout.wait_for_state(1, "live")
        assert playout.status()["next_item_ids"] == [2, 3, 4]
        before = time.monotonic()
        assert playout.order("next") == {"ok": True, "item_id": 2}
        assert playout.order("jump", item_id=4) == {"ok": True, "item_id": 4}
        assert playout.order("previous") == {"ok": True, "item_id": 3}
        assert playout.order("play_next", item_id=1) == {"ok": True, "item_id": 3}
        assert playout.order("next") == {"ok": True, "item_id": 1}
        assert time.monotonic() - before < 1 * ROOM
        assert playout.status()["next_item_ids"] == [4, 1, 2]
        wait_until(lambda: playout.status()["position_s"] > 1, "a second played")
    got = _recorded(server, place)
    assert min(got.gaps(VIDEO)) >= 0
    # Sound and picture of an item that is cut end apart, by as much as the file has them apart; five cuts add up.
    assert max(got.gaps(VIDEO)) <= 300
    assert len([tag for tag in got.tags if tag.is_codec_header and tag.kind == VIDEO]) >= 3


def test_an_edit_lets_the_current_item_go_on(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        playout.wait_for_item(1)
        playout.reload(items=[item(3, LONG[2]), item(1, LONG[0]), item(2, LONG[1])], loop=False)
        assert playout.status()["item_id"] == 1
        assert playout.status()["next_item_ids"] == [2]
        playout.reload(items=[item(2, LONG[1]), item(3, LONG[2])])
        playout.wait_for_item(2, 1)


def test_removing_everything_waits_and_new_items_play(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(LONG[0]), [place]) as playout:
        playout.wait_for_state(1, "live")
        playout.reload(items=[])
        wait_until(lambda: playout.status()["phase"] == "waiting", "waiting")
        playout.reload(items=items(LONG[1]))
        wait_until(lambda: playout.status()["phase"] == "playing", "playing")
        assert playout.destination(1)["reconnects"] == 0
    assert min(_recorded(server, place).gaps(VIDEO)) >= 0


def test_a_list_in_order_waits_for_its_first_item(place: dict, tmp_path: Path) -> None:
    late = item(1, tmp_path / "first.flv", ready=False)
    with RunningPlayout(tmp_path, [late, item(2, LONG[1])], [place]) as playout:
        assert playout.status()["phase"] == "waiting"
        playout.reload(items=[item(1, LONG[0]), item(2, LONG[1])])
        playout.wait_for_item(1)
        assert playout.status()["items_played"] == 0


def test_a_first_item_that_failed_is_not_waited_for(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, [item(1, tmp_path / "no.flv", failed="gone"), item(2, LONG[1])], [place]) as playout:
        playout.wait_for_item(2, 2)


def test_items_play_as_they_become_ready(place: dict, tmp_path: Path) -> None:
    late = item(1, tmp_path / "later.flv", ready=False)
    with RunningPlayout(tmp_path, [late], [place]) as playout:
        assert playout.status()["phase"] == "waiting"
        assert playout.order("jump", item_id=1)["ok"] is False
        playout.reload(items=[item(1, LONG[0])])
        wait_until(lambda: playout.status()["phase"] == "playing", "playing")


def test_a_growing_file_plays_while_it_grows_and_to_its_end(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    data, growing = clip("e", seconds=3).read_bytes(), tmp_path / "growing.flv"
    growing.write_bytes(data[: len(data) // 2])
    entry = item(1, growing, complete=False)
    with RunningPlayout(tmp_path, [entry], [place], loop=False) as playout:
        wait_until(lambda: playout.status()["position_s"] > 1, "a second played")
        wait_until(lambda: playout.status()["phase"] == "waiting", "the half being over")
        with growing.open("ab") as file:
            file.write(data[len(data) // 2 :])
        wait_until(lambda: playout.status()["position_s"] > 2.5, "the rest played")
        assert playout.status()["items_played"] == 0
        playout.reload(items=[entry | {"complete": True}])
        assert playout.exit()["reason"] == "finished"
    assert len(_recorded(server, place).payloads(VIDEO)) == 75


def _broken(tmp_path: Path) -> dict[str, Path]:
    whole = clip("a").read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2 : len(whole) // 2 + 20_000] = bytes(20_000)
    made = {
        "empty": b"",
        "text": b"not a video" * 50,
        "damaged": bytes(middle),
        "cut": whole[: len(whole) // 2],
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in made} | {"missing": tmp_path / "missing"}


def test_bad_files_are_skipped_and_said(server: NginxRtmp, place: dict, tmp_path: Path) -> None:
    broken = _broken(tmp_path)
    entries = items(*broken.values(), clip("a"))
    entries.append(item(8, "/a\0b"))
    entries.append(item(9, "/nowhere", failed="the moov atom is missing"))
    with RunningPlayout(tmp_path, entries, [place], loop=False) as playout:
        end = playout.exit(15)
    reasons = {each["file_id"]: each["reason"] for each in end["status"]["skipped"]}
    assert (end["code"], end["reason"]) == (0, "finished")
    assert reasons.keys() == {1, 2, 3, 5, 8, 9}, "all but the cut file, which plays as far as it goes"
    assert "damaged at byte" in reasons[3]
    assert "No such file" in reasons[5]
    assert "internal error" in reasons[8]
    got = _recorded(server, place)
    assert min(got.gaps(VIDEO)) >= 0
    assert len(got.payloads(VIDEO)) >= 90


def test_resume_begins_where_the_killed_process_was(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        playout.order("jump", item_id=2)
        (*_, status) = playout.watch_until(lambda status: status["item_id"] == 2 and status["position_s"] > 3.2)
        os.kill(playout.process.pid, signal.SIGKILL)
        playout.process.wait()
    before = time.monotonic()
    with RunningPlayout(tmp_path, items(*LONG), [place], resume=True) as playout:
        seen = playout.watch_until(lambda status: status["destinations"][0]["state"] == "live", 4)
        assert time.monotonic() - before < 2 * ROOM
        first = next(each for each in seen if each["position_s"])
        assert first["item_id"] == 2
        assert status["position_s"] - 1.2 <= first["position_s"] <= status["position_s"] + 1.5 * ROOM
        assert status["item_id"] == 2


def test_a_second_process_for_the_same_run_is_refused(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as first:
        with RunningPlayout(tmp_path, items(*LONG), [place]) as second:
            assert second.process.wait(5 * ROOM) == 3
        assert first.status()["phase"] == "playing" or first.process.poll() is None


def test_watchers_see_every_change_and_a_line_a_second(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        before = time.monotonic()
        seen = playout.watch_until(lambda status: time.monotonic() - before > 2.5)
        assert len(seen) >= 3
        assert seen[-1]["pid"] == playout.process.pid
        assert json.loads((tmp_path / "status.json").read_text())["run_id"] == "run"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"nonsense", "not JSON"),
        (b"[]", "not an object"),
        (b"\xff\xfe", "not JSON"),
        (b'{"order": "dance"}', "unknown order"),
        (b'{"order": ["stop"]}', "unknown order"),
        (b'{"order": "jump"}', "there is no such item in the list"),
        (b'{"order": "jump", "item_id": "2"}', "«item_id» is no number"),
        (b'{"order": "play_next", "item_id": 99}', "there is no such item in the list"),
        (b'{"order": "resume"}', "it is not paused"),
        (b'{"order": "jump", "item_id": 99}', "there is no such item in the list"),
    ],
)
def test_bad_orders_are_answered_and_change_nothing(place: dict, tmp_path: Path, line: bytes, error: str) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        assert playout.send(line) == {"ok": False, "error": error}
        assert playout.process.poll() is None


def test_a_bad_plan_is_refused_and_the_old_one_stays(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        playout.wait_for_state(1, "live")
        (tmp_path / "plan.json").write_text('{"items": 3}')
        answer = playout.order("reload")
        assert answer["ok"] is False
        assert playout.state(1) == "live"
    (tmp_path / "plan.json").unlink()


def test_without_a_plan_it_says_so_and_ends(tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, [], [], order="backwards") as playout:
        end = playout.exit()
    assert (end["code"], playout.process.returncode) == (2, 2)
    assert end["reason"].startswith("plan: ")


def test_an_overlong_line_ends_that_connection_alone(place: dict, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(*LONG), [place]) as playout:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "control.sock"))
            connection.sendall(b"x" * 200_000)
            assert connection.recv(100) == b""
        assert playout.status()["stream_id"] == 7


def test_the_key_is_nowhere_to_be_read(server: NginxRtmp, tmp_path: Path) -> None:
    canary = "canary-4711"
    places = [destination(1, server.url, canary), destination(2, server.url, canary + "?auth=x")]
    places.append(destination(3, "rtmp://127.0.0.1:1/live", canary))
    with RunningPlayout(tmp_path, items(*LONG), places) as playout:
        wait_until(
            lambda: playout.state(3) == "reconnecting" and "refused" in (playout.state(1), playout.state(2)),
            "the states",
        )
        process = Path(f"/proc/{playout.process.pid}")
        shown = [process.joinpath(name).read_bytes() for name in ("cmdline", "environ")]
        shown.append(json.dumps(playout.status()).encode())
        playout.order("stop")
        playout.exit()
    shown += [(tmp_path / name).read_bytes() for name in ("log", "status.json", "exit.json")]
    assert not [text for text in shown if canary.encode() in text]
    for name in ("status.json", "exit.json", "playout.lock"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_log_nobody_reads_holds_up_nothing(place: dict, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    with RunningPlayout(tmp_path, items(*LONG), [place], stderr=writer) as playout:
        playout.wait_for_state(1, "live")
        playout.order("stop")
        assert playout.exit(2)["reason"] == "stopped"
    os.close(reader)
    os.close(writer)
