"""Slates made by a real FFmpeg: of the right profile, looping cleanly, of the owner's file or without it."""

import asyncio
import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from agent import shelf, slate_recipe
from agent.cache import Cache
from agent.downloads import Trust
from agent.events import Event, SlateFailed, SlateReady
from agent.ffmpeg import Ffmpeg
from agent.profile import DEFAULT, Profile, profile_of
from agent.protocol import SlateFile
from agent.slate_maker import SlateMaker
from agent.tests.clips import make
from agent.tests.servers import FileServer, file_server

SMALL = Profile(320, 180, Fraction(25), 48000, 1)
TALL = Profile(180, 320, Fraction(30000, 1001), 44100, 2)


class Workshop:
    """A slate maker with a cache and a file server of its own."""

    def __init__(self, tmp_path: Path, server: FileServer, ffmpeg: str = "ffmpeg", limit: int = 1 << 30) -> None:
        self.events: list[Event] = []
        self.server = server
        self.cache = Cache(tmp_path / "cache", limit)
        self.cache.open(0)
        self._news = asyncio.Event()
        trust = Trust(frozenset({server.host}), frozenset({server.host}))
        self.maker = SlateMaker(self.cache, trust, Ffmpeg(ffmpeg), self._post)

    def _post(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def make(self, *wanted: tuple[Profile, SlateFile | None]) -> list[Event]:
        """Asks for all at once; how each ended, in the order they did."""
        for profile, file in wanted:
            key = shelf.own_key(file, profile) if file else shelf.made_key(profile)
            self.maker.make(key, profile, file)
        async with asyncio.timeout(120):
            while len(self.ends()) < len(wanted):
                self._news.clear()
                await self._news.wait()
        return self.ends()

    def ends(self) -> list[Event]:
        return [each for each in self.events if isinstance(each, SlateReady | SlateFailed)]

    def serve(self, body: bytes, kind: str, **more) -> SlateFile:
        self.server.files["/slate"] = body
        known = {"file_id": 21, "kind": kind, "filename": "slate", "size": len(body)}
        return SlateFile(**(known | {"download_url": self.server.url("/slate")} | more))


def work(tmp_path: Path, task, **more) -> list[Event]:
    async def run(server: FileServer) -> list[Event]:
        shop = Workshop(tmp_path, server, **more)
        try:
            return await task(shop)
        finally:
            await shop.maker.close()

    with file_server() as server:
        return asyncio.run(run(server))


def looked_at(path: str) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", path]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    streams = {each["codec_type"]: each for each in found["streams"]}
    return {kind: (streams[kind], [p for p in found["packets"] if p["codec_type"] == kind]) for kind in streams}


def is_a_slate(event: Event, profile: Profile, seconds: float = slate_recipe.SECONDS) -> None:
    """Of exactly this profile, and such that it can follow itself."""
    assert isinstance(event, SlateReady), event
    assert profile_of(Path(event.path).read_bytes()[:4096]) == profile
    found = looked_at(event.path)
    picture, frames = found["video"]
    sound, sounds = found["audio"]
    assert (picture["codec_name"], picture["pix_fmt"], picture["has_b_frames"]) == ("h264", "yuv420p", 0)
    assert (picture["width"], picture["height"]) == (profile.width, profile.height)
    assert (sound["codec_name"], sound["sample_rate"], sound["channels"]) == (
        "aac", str(profile.sample_rate), profile.channels,
    )  # fmt: skip
    keys = [float(each["pts_time"]) for each in frames if "K" in each["flags"]]
    assert keys[0] == float(frames[0]["pts_time"])
    assert max(b - a for a, b in itertools.pairwise(keys)) < 2.01
    assert all(each["pts_time"] == each["dts_time"] for each in frames)
    frame = max(1 / float(profile.fps), 1024 / profile.sample_rate) + 0.002
    ends = [float(each[-1]["pts_time"]) + float(each[-1]["duration_time"]) for each in (frames, sounds)]
    assert abs(ends[0] - float(frames[0]["pts_time"]) - seconds) < frame
    assert abs(ends[0] - ends[1]) < frame, "they end together"
    assert float(sounds[0]["pts_time"]) < 0.1


@pytest.mark.parametrize("profile", [DEFAULT, SMALL, TALL])
def test_ffmpegs_own(tmp_path: Path, profile: Profile) -> None:
    (event,) = work(tmp_path, lambda shop: shop.make((profile, None)))
    is_a_slate(event, profile)
    assert Path(event.path).stat().st_size < 200_000, "next to nothing"


def test_without_a_font_it_has_no_words_and_is_there_all_the_same(tmp_path: Path) -> None:
    """An FFmpeg that cannot write: it ends with an error when it is told to."""
    wordless = tmp_path / "ffmpeg"
    wordless.write_text(
        '#!/bin/sh\ncase "$*" in *drawtext*) echo "Cannot find a valid font" >&2; exit 1;; esac\nexec ffmpeg "$@"\n'
    )
    wordless.chmod(0o755)
    (event,) = work(tmp_path, lambda shop: shop.make((SMALL, None)), ffmpeg=str(wordless))
    is_a_slate(event, SMALL)


def test_it_is_made_once_and_found_by_the_next_agent(tmp_path: Path) -> None:
    (first,) = work(tmp_path, lambda shop: shop.make((SMALL, None)))
    (again,) = work(tmp_path, lambda shop: shop.make((SMALL, None)), ffmpeg="/nonexistent")
    assert again.path == first.path


PICTURES = [
    ("png", ()),
    ("jpg", ()),
    ("webp", ()),
    ("png", ("-vf", "format=rgba,colorchannelmixer=aa=0.5")),
]


@pytest.mark.parametrize(("ending", "more"), PICTURES)
def test_the_owners_picture(tmp_path: Path, ending: str, more: tuple) -> None:
    path = tmp_path / f"picture.{ending}"
    command = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "color=red:size=400x400", "-frames:v", "1"]
    subprocess.run([*command, *more, str(path)], check=True)
    (event,) = work(tmp_path, lambda shop: shop.make((SMALL, shop.serve(path.read_bytes(), "picture"))))
    is_a_slate(event, SMALL)
    middle, edge = colour(event.path, 160, 90), colour(event.path, 20, 90)
    assert middle[0] > 100 > middle[1], "the picture"
    assert max(edge) < 60, "bars beside it"


def colour(path: str, x: int, y: int) -> tuple[int, ...]:
    command = ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-vf", f"crop=2:2:{x}:{y}"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    return tuple(subprocess.run(command, check=True, capture_output=True).stdout[:3])


@pytest.mark.parametrize("sound", [True, False])
def test_the_owners_clip(tmp_path: Path, sound: bool) -> None:
    body = make(tmp_path / "clip.mp4", seconds=3, sound=sound).read_bytes()
    (event,) = work(tmp_path, lambda shop: shop.make((TALL, shop.serve(body, "clip"))))
    is_a_slate(event, TALL, 3.0)


def test_of_a_long_clip_its_first_minute(tmp_path: Path) -> None:
    body = make(tmp_path / "clip.mp4", seconds=65, more=("-r", "5")).read_bytes()
    (event,) = work(
        tmp_path, lambda shop: shop.make((Profile(64, 36, Fraction(15), 44100, 1), shop.serve(body, "clip")))
    )
    is_a_slate(event, Profile(64, 36, Fraction(15), 44100, 1), 60.0)


def test_one_file_is_fetched_once_for_all_its_profiles(tmp_path: Path) -> None:
    body = make(tmp_path / "clip.mp4", seconds=1).read_bytes()

    async def both(shop: Workshop) -> list[Event]:
        file = shop.serve(body, "clip")
        ends = await shop.make((SMALL, file), (TALL, file))
        assert len(shop.server.asked) == 1
        return ends

    assert [type(each) for each in work(tmp_path, both)] == [SlateReady, SlateReady]


@pytest.mark.parametrize(
    ("change", "words", "permanent"),
    [
        ({"download_url": "https://elsewhere.example/slate"}, "not on a trusted server", True),
        ({"sha256": "00" * 32}, "another checksum", True),
        ({"size": 7}, "expected 7", True),
        ({"kind": "picture"}, "no PNG, JPEG or WebP picture", True),
        ({"kind": "clip"}, "not a video", True),
    ],
)
def test_what_cannot_be_had_is_said(tmp_path: Path, change: dict, words: str, permanent: bool) -> None:
    file = {"kind": "picture"} | change
    (event,) = work(tmp_path, lambda shop: shop.make((SMALL, shop.serve(b"no picture at all " * 20, **file))))
    assert isinstance(event, SlateFailed), event
    assert words in event.reason
    assert event.permanent == permanent
    assert not list((tmp_path / "cache").glob("slate-*"))


def test_a_full_cache_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    (event,) = work(tmp_path, lambda shop: shop.make((SMALL, None)), limit=1000)
    assert isinstance(event, SlateFailed)
    assert not event.permanent
    assert "no room" in event.reason


def test_an_ffmpeg_that_is_not_there_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    (event,) = work(tmp_path, lambda shop: shop.make((DEFAULT, None)), ffmpeg="/nonexistent")
    assert isinstance(event, SlateFailed)
    assert not event.permanent


def test_a_picture_dressed_up_as_a_script_reads_nothing(tmp_path: Path) -> None:
    for body in (b"ffconcat version 1.0\nfile '/etc/passwd'\n", b"#EXTM3U\nfile:///etc/passwd\n", b"<svg/>"):
        assert slate_recipe.picture_format(body) is None
