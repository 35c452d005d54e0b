"""Files nobody would choose: each plays, or is refused in plain words, and the stream with them in its list goes on."""

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from agent.events import Event, MediaComplete, MediaFailed
from agent.playout.flv import AUDIO, VIDEO, FlvParser
from agent.playout.tests import recordings
from agent.playout.tests.clips import clip
from agent.playout.tests.driver import RunningPlayout, destination, item
from agent.playout.tests.servers import NginxRtmp
from agent.protocol import VideoFile
from agent.tests import bad_files
from agent.tests.clips import make
from agent.tests.test_prepare import obtain, packets, probe
from agent.validate import bad_file

REFUSED = {
    "nothing but zeros": "it is not a video that FFmpeg can read",
    "no index": "it is not a whole video file: its index is missing",
    "flipped index": "FFmpeg could not prepare it",
    "sound only": "there is no picture in it that FFmpeg can read",
}
PLAYS = {
    "truncated": (320, 180, 40),
    "flipped bits": (320, 180, 75),
    "HEVC": (320, 180, 25),
    "10 bit": (320, 180, 25),
    "120 fps": (320, 180, 120),
    "8K": (7680, 4320, 2),
    "8K HEVC": (1280, 720, 2),
    "one frame": (320, 180, 1),
    "one frame, no sound": (320, 180, 1),
    "times that jump ahead": (320, 180, 75),
    "times that jump back": (320, 180, 100),
}
"""Width, height and the least frames that come out."""
LONGEST_GAP_MS = 300


@pytest.fixture(scope="module")
def obtained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Event]:
    """The last word on each file: complete or failed. Their directories last as long as the module."""
    found = {}
    for name, body in bad_files.all_of_them(tmp_path_factory.mktemp("bad")).items():
        found[name] = obtain(body, tmp_path_factory.mktemp("job"))[-1]
    return found


def test_every_file_is_known_to_play_or_not(obtained: dict[str, Event]) -> None:
    assert obtained.keys() == REFUSED.keys() | PLAYS.keys()


@pytest.mark.parametrize("name", PLAYS)
def test_what_can_play_becomes_what_platforms_take(obtained: dict[str, Event], name: str) -> None:
    last = obtained[name]
    assert isinstance(last, MediaComplete), last
    found = probe(last.path)
    kinds = {each["codec_type"]: each for each in found["streams"]}
    picture, sound = kinds["video"], kinds["audio"]
    assert (picture["codec_name"], picture["pix_fmt"], sound["codec_name"]) == ("h264", "yuv420p", "aac")
    width, height, frames = PLAYS[name]
    assert (picture["width"], picture["height"]) == (width, height)
    assert len(packets(found, "video")) >= frames
    for kind in ("video", "audio"):
        times = [float(each["dts_time"]) for each in packets(found, kind)]
        assert times == sorted(times)
        assert max([after - before for before, after in pairwise(times)], default=0) < 0.5, "no jump comes out"


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_is_refused_for_good_in_plain_words(obtained: dict[str, Event], name: str) -> None:
    last = obtained[name]
    assert isinstance(last, MediaFailed)
    assert last.permanent
    assert last.reason.startswith(REFUSED[name])


def test_an_empty_file_is_not_even_asked_for() -> None:
    empty = VideoFile(item_id=1, file_id=1, filename="x.mp4", size=0, download_url="https://f.example/x")
    assert bad_file(empty) == "its size is not known"


def damaged_flvs(home: Path) -> dict[str, bytes]:
    """What a bad disk makes of files that were prepared well, and what never was one."""
    flv = home / "whole.flv"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(make(home / "whole.mp4", seconds=2)), "-c", "copy", str(flv)]
    subprocess.run(command, check=True)
    whole = flv.read_bytes()
    later = next(tag for tag in FlvParser().feed(whole) if tag.timestamp >= 1000).offset
    return {
        "cut off": whole[: len(whole) * 2 // 3],
        "nothing": b"",
        "zeros": bytes(100_000),
        "head only": whole[:13],
        "zeros in the middle": whole[:later] + bytes(1000) + whole[later + 1000 :],
        "flipped": bad_files.flipped(whole, len(whole) // 3, len(whole) * 2 // 3, 200),
        "times that jump": whole[:later] + _moved(whole[later:], 5_000_000),
        "times past 2^31": whole[:later] + _moved(whole[later:], 2**31),
    }


def _moved(tags: bytes, by_ms: int) -> bytes:
    """The same tags, later."""
    moved, at = bytearray(tags), 0
    while at < len(moved):
        stamp = int.from_bytes(moved[at + 4 : at + 7], "big") + (moved[at + 7] << 24) + by_ms
        moved[at + 4 : at + 7], moved[at + 7] = (stamp & 0xFFFFFF).to_bytes(3, "big"), stamp >> 24
        at += 11 + int.from_bytes(moved[at + 1 : at + 4], "big") + 4
    return bytes(moved)


SKIPPED = {
    "8K": "a picture is larger than servers take",
    "nothing": "there is nothing playable in the file",
    "zeros": "not an FLV file",
    "head only": "there is nothing playable in the file",
    "zeros in the middle": "the file is damaged at byte",
    "flipped": "the file is damaged at byte",
}


def _playlist(bad: dict[str, dict], good: Path) -> list[dict]:
    """Good, bad, good, bad, good; a bad one's title is its name."""
    found = [item(1, good)]
    for number, (name, changes) in enumerate(bad.items(), 1):
        found += [item(2 * number, "", title=name) | changes, item(2 * number + 1, good)]
    return found


def _as_planned(obtained: dict[str, Event], home: Path) -> dict[str, dict]:
    """By name, what the plan says of each."""
    found: dict[str, dict] = {}
    for name, last in obtained.items():
        failed = isinstance(last, MediaFailed)
        found[name] = {"ready": False, "failed": last.reason} if failed else {"path": last.path}
    for name, data in damaged_flvs(home).items():
        (home / f"{name}.flv").write_bytes(data)
        found[name] = {"path": str(home / f"{name}.flv")}
    return found


def test_a_stream_with_all_of_them_in_its_list_goes_on(obtained: dict[str, Event], tmp_path: Path) -> None:
    good = clip("good", seconds=0.4, size="256x144")
    bad = _as_planned(obtained, tmp_path)
    playlist = _playlist(bad, good)
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with NginxRtmp() as server:
        with RunningPlayout(run_dir, playlist, [destination(1, server.url)], loop=False) as playout:
            end = playout.exit(limit_s=60)
        (recorded,) = server.recordings_of("key1")
        got = recordings.read(recorded)
    assert (end["code"], end["reason"]) == (0, "finished")
    assert "internal error" not in playout.log()
    key_frame = recordings.read(good).payloads(VIDEO)[0]
    assert got.payloads(VIDEO).count(key_frame) == len(bad) + 1, "every good one has been on air"
    titles = {each["file_id"]: each["title"] for each in playlist}
    reasons = {titles[each["file_id"]]: each["reason"] for each in end["status"]["skipped"]}
    assert reasons.keys() == REFUSED.keys() | SKIPPED.keys()
    assert all(reasons[name].startswith(words) for name, words in (REFUSED | SKIPPED).items())
    for kind in (VIDEO, AUDIO):
        assert min(got.gaps(kind)) >= 0
        assert max(got.gaps(kind)) <= LONGEST_GAP_MS
