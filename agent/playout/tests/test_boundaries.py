"""Item after item on one connection, as real servers receive it."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.events import MediaComplete
from agent.playout import flv
from agent.playout.flv import AUDIO, VIDEO
from agent.tests.test_prepare import obtain
from lab import recording
from lab.processes import ROOM
from lab.receiver import Publish, Receiver

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, ffmpeg_listener

ITEMS = 21
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25", "-c:a", "copy")
CHANGES: dict[str, tuple[str, ...]] = {
    "mono": ("-c:v", "copy", "-c:a", "aac", "-ac", "1"),
    "mute": ("-c:v", "copy", "-an"),
    "b-frames": (*X264, "-bf", "2", "-b_strategy", "0"),
    "varying rate": (*X264, "-vf", r"select='lt(mod(t\,1)\,0.3)+not(mod(n\,3))'", "-fps_mode", "vfr"),
}
"""What is made of a clip that flashes and beeps each second, by FFmpeg's arguments."""


def _prepared(path: Path) -> Path:
    """By the agent's own ways: downloaded, looked at, converted as much as it needs."""
    home = path.with_suffix("")
    home.mkdir()
    done = obtain(path.read_bytes(), home)[-1]
    assert isinstance(done, MediaComplete), done
    return Path(done.path)


def _changed(clip: Path, name: str, *arguments: str, before: tuple[str, ...] = ()) -> Path:
    out = clip.with_name(f"{name}.mp4")
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *before, "-i", str(clip), *arguments, str(out)]
    subprocess.run(command, check=True)
    return out


def _same(home: Path) -> list[Path]:
    files = [recording.sync_clip(home / f"{name}.mp4", 1) for name in "abc"]
    return [_prepared(path) for path in files] * (ITEMS // 3)


def _mixed(home: Path) -> list[Path]:
    """All kinds, each after several others."""
    plain = recording.sync_clip(home / "plain.mp4", 1)
    files = [
        plain,
        recording.sync_clip(home / "size and rate.mp4", 1, size="426x240", rate=30),
        recording.sync_clip(home / "48 kHz.mp4", 1, audio_rate=48_000),
        *(_changed(plain, name, *arguments) for name, arguments in CHANGES.items()),
        _changed(recording.sync_clip(home / "uncut.mp4", 2), "edit list", "-c", "copy", before=("-ss", "0.5")),
    ]
    ready = [_prepared(path) for path in files]
    return [ready[at * step % len(ready)] for step in (1, 3, 5) for at in range(len(ready))][:ITEMS]


@dataclass
class Played:
    """What two servers got of one list: nginx records what, lab's receiver when."""

    paths: list[Path]
    end: dict[str, Any]
    recorded: list[Path]
    received: list[Publish]
    log: str

    @cached_property
    def got(self) -> recordings.Recording:
        return recordings.read(self.recorded[0])

    def files(self) -> list[recordings.Recording]:
        return [recordings.read(path) for path in self.paths]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Played]]:
    """Both lists at the same time."""
    lists = {make.__name__: make(tmp_path_factory.mktemp("clips")) for make in (_same, _mixed)}
    with NginxRtmp() as server, Receiver() as receiver:
        with ExitStack() as stack:
            running = {}
            for name, paths in lists.items():
                places = [destination(1, server.url, name), destination(2, receiver.url(name))]
                playout = RunningPlayout(tmp_path_factory.mktemp("run"), items(*paths), places, loop=False)
                running[name] = stack.enter_context(playout)
            ends = {name: playout.exit(limit_s=40) for name, playout in running.items()}
        yield {
            name: Played(paths, ends[name], server.recordings_of(name), receiver.of(name), running[name].log())
            for name, paths in lists.items()
        }


both = pytest.mark.parametrize("name", ["_same", "_mixed"])


@both
def test_twenty_boundaries_on_one_connection_lose_nothing(played: dict[str, Played], name: str) -> None:
    one = played[name]
    end = one.end
    assert (end["code"], end["reason"], end["status"]["items_played"]) == (0, "finished", ITEMS)
    assert (len(one.recorded), len(one.received)) == (1, 1)
    assert "internal error" not in one.log
    assert one.got.payloads(VIDEO) == [payload for file in one.files() for payload in file.payloads(VIDEO)]
    sound = [payload for file in one.files() for payload in file.payloads(AUDIO)]
    heard = one.got.payloads(AUDIO)
    assert heard == sound[-len(heard) :]
    assert len(sound) - len(heard) <= 2, "a receiver joins at a key frame"
    headers = [tag for tag in one.got.tags if tag.is_codec_header and tag.kind == VIDEO]
    assert len(headers) >= ITEMS
    assert one.received[0].headers() >= ITEMS
    codecs = {stream["codec_name"] for stream in recordings.probe(one.recorded[0])["streams"]}
    assert codecs == {"h264", "aac"}


@both
def test_twenty_boundaries_leave_no_hole_and_nothing_goes_back(played: dict[str, Played], name: str) -> None:
    one = played[name]
    assert min(one.got.gaps(VIDEO) + one.got.gaps(AUDIO)) >= 0
    assert one.received[0].steps_back() == 0
    for shown, own in ((one.got.shown(), _lengths_shown(one)), (one.got.stamps(AUDIO), _lengths(one, AUDIO))):
        excess = [after - before - length for (before, after), length in zip(pairwise(shown), own, strict=False)]
        assert len(excess) > ITEMS
        assert max(excess) <= 100
    assert one.received[0].max_gap_s() <= 0.100 * ROOM


@both
def test_over_twenty_boundaries_sound_and_picture_stay_together(played: dict[str, Played], name: str) -> None:
    one = played[name]
    beeping = {path: len(_near(path)) for path in set(one.paths)}
    skews = _near(one.recorded[0])
    assert len(skews) == sum(beeping[path] for path in one.paths)
    assert max(map(abs, skews)) <= 0.040


def _near(path: Path) -> list[float]:
    """The skews of flashes that have a beep; the others are a clip without sound."""
    return [skew for skew in recording.skews(path) if abs(skew) < 0.4]


def _lengths_shown(one: Played) -> list[int]:
    return [length for file in one.files() for length in _steps(file.shown())]


def _lengths(one: Played, kind: int) -> list[int]:
    return [length for file in one.files() for length in _steps(file.stamps(kind))]


def _steps(stamps: list[int]) -> list[int]:
    """How long each frame lasts; the last one as long as the one before."""
    steps = [after - before for before, after in pairwise(stamps)]
    return [*steps, steps[-1]]


def test_it_publishes_to_ffmpegs_listener(tmp_path: Path) -> None:
    out = tmp_path / "got.flv"
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    paths = [clip("a", seconds=1.4), clip("b", seconds=1.4)]
    with ffmpeg_listener(out) as url:
        place = destination(1, url, "key")
        with RunningPlayout(run_dir, items(*paths), [place], loop=False) as playout:
            assert playout.exit()["reason"] == "finished"
            reached = playout.log()
    assert '"destination live"' in reached
    sent = [payload for path in paths for payload in recordings.read(path).payloads(VIDEO)]
    assert len(recordings.read(out).payloads(VIDEO)) == len(sent)


def test_the_end_of_a_file_does_not_end_the_receivers_sequence(played: dict[str, Played]) -> None:
    ends = [tag for tag in played["_same"].got.tags if tag.kind == VIDEO and tag.payload[1] == 2]
    assert not [tag for tag in ends if not flv.is_codec_header(VIDEO, tag.payload)]
    assert flv.is_playable(VIDEO, b"\x17\x02\0\0\0") is False
