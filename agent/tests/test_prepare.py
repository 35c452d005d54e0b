"""Preparing odd files with a real FFmpeg: what comes out plays on any RTMP platform."""

import asyncio
import json
import subprocess
import time
from fractions import Fraction
from pathlib import Path

import pytest

from agent import prepare
from agent.cache import Cache
from agent.downloads import Trust
from agent.events import Event, MediaComplete, MediaFailed, MediaReady
from agent.ffmpeg import Ffmpeg
from agent.obtain import Obtainer
from agent.profile import Profile
from agent.protocol import VideoFile
from agent.tests.clips import X264, make
from agent.tests.servers import FileServer, file_server


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def probe(path: str) -> dict:
    command = ["ffprobe", "-v", "error", "-show_streams", "-show_packets", "-of", "json", path]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def packets(found: dict, kind: str) -> list[dict]:
    return [each for each in found["packets"] if each["codec_type"] == kind]


def span(found: dict, kind: str) -> tuple[float, float]:
    times = [float(each["pts_time"]) for each in packets(found, kind)]
    return min(times), max(times)


def obtain(body: bytes, tmp_path: Path, hints: dict | None = None, rate: float | None = None) -> list[Event]:
    """The events of obtaining one file from a real server."""
    with file_server() as server:
        server.files["/x.mp4"] = body
        server.bytes_per_second = rate
        return asyncio.run(_obtain(server, len(body), tmp_path, hints or {}))


async def _obtain(server: FileServer, size: int, tmp_path: Path, hints: dict) -> list[Event]:
    events: list[Event] = []
    done = asyncio.Event()

    def post(event: Event) -> None:
        events.append(event)
        if isinstance(event, MediaComplete | MediaFailed):
            done.set()

    cache = Cache(tmp_path / "cache", 1 << 40)
    cache.open(0)
    trust = Trust(frozenset({server.host}), frozenset({server.host}))
    obtainer = Obtainer(cache, trust, Ffmpeg("ffmpeg"), post)
    known = {"item_id": 1, "file_id": 1, "filename": "x.mp4", "size": size}
    obtainer.obtain("1-1", VideoFile(download_url=server.url("/x.mp4"), **(known | hints)), urgent=True)
    await asyncio.wait_for(done.wait(), 40)
    await obtainer.close()
    assert not list((tmp_path / "cache").glob("*.source*"))
    return events


def prepared(path: Path, tmp_path: Path, hints: dict | None = None) -> dict:
    last = obtain(path.read_bytes(), tmp_path, hints)[-1]
    assert isinstance(last, MediaComplete), last
    found = probe(last.path)
    kinds = {each["codec_type"]: each for each in found["streams"]}
    assert kinds["video"]["codec_name"] == "h264"
    assert kinds["video"]["pix_fmt"] in prepare.PIXEL_FORMATS
    assert kinds["audio"]["codec_name"] == "aac"
    for kind in ("video", "audio"):
        times = [float(each["dts_time"]) for each in packets(found, kind)]
        assert times == sorted(times)
        assert times[0] >= 0
    assert abs(span(found, "audio")[0] - span(found, "video")[0]) < 0.15, "they begin together"
    assert "K" in packets(found, "video")[0]["flags"]
    return found


def test_what_platforms_take_is_copied_byte_for_byte(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "plain.mp4", seconds=3)
    found = prepared(clip, tmp_path, {"video_codec": "h264", "pixel_format": "yuv420p", "audio_codec": "aac"})
    theirs = [each["size"] for each in packets(probe(str(clip)), "video")]
    assert [each["size"] for each in packets(found, "video")] == theirs


def test_without_hints_it_is_looked_at(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "unhinted.mp4", seconds=2)
    found = prepared(clip, tmp_path)
    assert len(packets(found, "video")) == 50


def test_a_file_without_sound_gets_silence_as_long_as_its_picture(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "mute.mp4", seconds=3, sound=False)
    found = prepared(clip, tmp_path, {"video_codec": "h264", "pixel_format": "yuv420p"})
    assert abs(span(found, "audio")[1] - span(found, "video")[1]) < 0.15


def test_sound_of_another_kind_is_made_anew_alone(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "mp3.mp4", seconds=2, audio=("-c:a", "libmp3lame", "-ar", "48000", "-ac", "1"))
    found = prepared(clip, tmp_path)
    theirs = [each["size"] for each in packets(probe(str(clip)), "video")]
    assert [each["size"] for each in packets(found, "video")] == theirs


@pytest.mark.parametrize(
    ("name", "video"),
    [
        (
            "hevc",
            ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1"),
        ),
        ("mpeg4", ("-c:v", "mpeg4", "-bf", "2")),
        ("ten-bit", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")),
        ("444", ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv444p")),
    ],
)
def test_a_picture_of_another_kind_is_converted(clips: Path, tmp_path: Path, name: str, video: tuple) -> None:
    clip = make(clips / f"{name}.mp4", seconds=4.5, video=video)
    found = prepared(clip, tmp_path)
    keys = [float(each["pts_time"]) for each in packets(found, "video") if "K" in each["flags"]]
    assert [round(each - keys[0], 1) for each in keys] == [0.0, 2.0, 4.0]
    assert all(each["pts_time"] == each["dts_time"] for each in packets(found, "video")), "no B-frames"


def test_b_frames_are_copied_in_order(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "b.mp4", seconds=2, video=(*X264, "-bf", "3", "-b_strategy", "0"))
    found = prepared(clip, tmp_path)
    assert any(each["pts_time"] != each["dts_time"] for each in packets(found, "video"))


def test_a_varying_frame_rate_keeps_its_times(clips: Path, tmp_path: Path) -> None:
    more = ("-vf", r"select='not(mod(n\,3))+lt(n\,25)'", "-fps_mode", "vfr")
    clip = make(clips / "vfr.mp4", seconds=3, more=more)
    found = prepared(clip, tmp_path)
    assert 2.7 < span(found, "video")[1] - span(found, "video")[0] < 3.1


def test_mono_sound_of_48_khz_is_copied(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "mono.mp4", seconds=2, audio=("-c:a", "aac", "-ar", "48000", "-ac", "1"))
    found = prepared(clip, tmp_path)
    sound = next(each for each in found["streams"] if each["codec_type"] == "audio")
    assert (sound["sample_rate"], sound["channels"]) == ("48000", 1)


def test_an_edit_list_leaves_no_hole_in_the_sound(clips: Path, tmp_path: Path) -> None:
    whole = make(clips / "uncut.mp4", seconds=6)
    cut = clips / "cut.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-ss", "1.3", "-i", str(whole), "-c", "copy", str(cut)]
    subprocess.run(command, check=True)
    prepared(cut, tmp_path)


def test_sound_that_begins_late_is_filled_up(clips: Path, tmp_path: Path) -> None:
    whole = make(clips / "early.mp4", seconds=4)
    late = clips / "late.mp4"
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(whole), "-itsoffset", "1.5", "-i", str(whole)]
    command += ["-map", "0:v", "-map", "1:a", "-c", "copy", "-t", "4", str(late)]
    subprocess.run(command, check=True)
    prepared(late, tmp_path)


def test_a_file_cut_off_in_the_middle_plays_as_far_as_it_goes(clips: Path, tmp_path: Path) -> None:
    body = make(clips / "truncated.mp4", seconds=6).read_bytes()
    cut = clips / "cut-off.mp4"
    cut.write_bytes(body[: len(body) * 2 // 3])
    assert 1 < span(prepared(cut, tmp_path), "video")[1] < 5


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"this is no video at all\n" * 100, "not a video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "played"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "played"),
    ],
)
def test_what_is_no_video_is_refused_in_plain_words(tmp_path: Path, body: bytes, words: str) -> None:
    for hints in ({}, {"video_codec": "h264", "pixel_format": "yuv420p", "audio_codec": "aac"}):
        last = obtain(body, tmp_path, hints)[-1]
        assert isinstance(last, MediaFailed)
        assert last.permanent
        assert words in last.reason
        assert any(line.startswith("[FFMPEG] ") for line in last.log)
        assert not list((tmp_path / "cache").iterdir())


def test_sound_only_is_refused(clips: Path, tmp_path: Path) -> None:
    path = clips / "sound.mp4"
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-y",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=2",
        "-c:a",
        "aac",
        str(path),
    ]
    subprocess.run(command, check=True)
    last = obtain(path.read_bytes(), tmp_path)[-1]
    assert isinstance(last, MediaFailed)
    assert "no picture" in last.reason


def test_a_big_file_is_ready_long_before_it_is_here(clips: Path, tmp_path: Path) -> None:
    clip = make(clips / "big.mp4", seconds=12, video=(*X264[:-4], "-pix_fmt", "yuv420p", "-g", "25", "-b:v", "4M"))
    body = clip.read_bytes()
    assert len(body) > 2 * 1024 * 1024
    events = obtain(body, tmp_path, HINTS, rate=len(body) / 3)
    kinds = [type(each).__name__ for each in events]
    ready = kinds.index("MediaReady")
    arrived = [each.done for each in events[:ready] if hasattr(each, "done")]
    assert max(arrived) < len(body) * 0.7
    assert isinstance(events[-1], MediaComplete)
    (told,) = [each for each in events if isinstance(each, MediaReady)]
    assert told.path == events[-1].path
    assert told.profile == events[-1].profile == Profile(320, 180, Fraction(25), 44100, 2)
    assert len(packets(probe(told.path), "video")) == 300


HINTS = {"video_codec": "h264", "pixel_format": "yuv420p", "audio_codec": "aac"}


def heavy(path: Path, kbps: int, seconds: float) -> bytes:
    """A film whose every second weighs the same, whatever is in it."""
    rate = ("-b:v", f"{kbps}k", "-minrate", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k")
    filled = ("-x264-params", "nal-hrd=cbr:filler=1")
    return make(path, seconds=seconds, video=(*X264, *rate, *filled)).read_bytes()


async def _until_it_plays(body: bytes, rate: float, tmp_path: Path) -> float:
    """Seconds until the first moments of a file play that comes in at `rate` bytes a second; the rest never does."""
    with file_server() as server:
        server.files["/x.mp4"] = body
        server.bytes_per_second = rate
        ready = asyncio.Event()
        cache = Cache(tmp_path / "cache", 1 << 40)
        cache.open(0)
        trust = Trust(frozenset({server.host}), frozenset({server.host}))
        post = lambda event: ready.set() if isinstance(event, MediaReady) else None  # noqa: E731
        obtainer = Obtainer(cache, trust, Ffmpeg("ffmpeg"), post)
        item = VideoFile(
            item_id=1, file_id=1, filename="x.mp4", size=len(body), download_url=server.url("/x.mp4"), **HINTS
        )
        began = time.monotonic()
        obtainer.obtain("1-1", item, urgent=True)
        await asyncio.wait_for(ready.wait(), 20)
        took = time.monotonic() - began
        await obtainer.close()
        return took


@pytest.mark.parametrize(("kbps", "seconds"), [(20_000, 26), (4000, 130)])
def test_a_first_file_of_any_size_plays_within_seconds_of_its_first_byte(
    tmp_path: Path, kbps: int, seconds: int
) -> None:
    """Over a line that carries it no faster than it plays."""
    body = heavy(tmp_path / "film.mp4", kbps, seconds)
    assert len(body) > 60_000_000
    took = asyncio.run(_until_it_plays(body, len(body) / seconds, tmp_path))
    print(f"{len(body) >> 20} MiB at {kbps} kbit/s: plays after {took:.2f} s")
    assert took < 5


def test_late_sound_is_filled_up_while_the_file_arrives(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    late = tmp_path / "late.mp4"
    whole.write_bytes(heavy(whole, 4000, 20))
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(whole), "-itsoffset", "1.2", "-i", str(whole)]
    command += ["-map", "0:v", "-map", "1:a", "-c", "copy", "-t", "20", "-movflags", "+faststart", str(late)]
    subprocess.run(command, check=True)
    body = late.read_bytes()
    events = obtain(body, tmp_path, HINTS, rate=len(body) / 6)
    ready = next(at for at, each in enumerate(events) if isinstance(each, MediaReady))
    arrived = [each.done for each in events[:ready] if hasattr(each, "done")]
    assert max(arrived) < len(body) * 0.8, "long before it was here"
    last = events[-1]
    assert isinstance(last, MediaComplete)
    found = probe(last.path)
    assert abs(span(found, "audio")[0] - span(found, "video")[0]) < 0.15


async def _both(server: FileServer, sizes: dict[str, int], tmp_path: Path) -> list[Event]:
    events: list[Event] = []
    cache = Cache(tmp_path / "cache", 1 << 40)
    cache.open(0)
    trust = Trust(frozenset({server.host}), frozenset({server.host}))
    obtainer = Obtainer(cache, trust, Ffmpeg("ffmpeg"), events.append)
    for number, (path, size) in enumerate(sizes.items(), 1):
        url = server.url(path)
        known = VideoFile(item_id=number, file_id=number, filename=path, size=size, download_url=url, **HINTS)
        obtainer.obtain(path.strip("/"), known, urgent=number == 1)
    async with asyncio.timeout(40):
        while sum(isinstance(each, MediaComplete) for each in events) < len(sizes):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await obtainer.close()
    return events


def test_what_can_wait_leaves_the_line_to_what_is_waited_for(clips: Path, tmp_path: Path) -> None:
    with file_server() as server:
        server.files["/first.mp4"] = heavy(clips / "first.mp4", 4000, 8)
        server.files["/second.mp4"] = heavy(clips / "second.mp4", 4000, 8)
        server.bytes_per_second = len(server.files["/first.mp4"]) / 4
        sizes = {path: len(body) for path, body in server.files.items()}
        events = asyncio.run(_both(server, sizes, tmp_path))
    ready = next(at for at, each in enumerate(events) if isinstance(each, MediaReady))
    assert {each.key for each in events[: ready + 1]} == {"first.mp4"}
    second = next(at for at, each in enumerate(events) if each.key == "second.mp4")
    whole = next(at for at, each in enumerate(events) if isinstance(each, MediaComplete))
    assert second < whole, "but no longer than until it plays"


def test_its_index_at_the_end_is_waited_for(clips: Path, tmp_path: Path) -> None:
    front = make(clips / "front.mp4", seconds=12, video=(*X264[:-4], "-pix_fmt", "yuv420p", "-b:v", "4M"))
    back = clips / "back.mp4"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(front), "-c", "copy", str(back)], check=True)
    body = back.read_bytes()
    assert prepare.moov_in_front(body[:65536]) is False
    assert prepare.moov_in_front(front.read_bytes()[:65536]) is True
    hints = {"video_codec": "h264", "pixel_format": "yuv420p", "audio_codec": "aac"}
    events = obtain(body, tmp_path, hints, rate=len(body) / 1.0)
    assert isinstance(events[-1], MediaComplete)


def test_arguments_hold_ffmpeg_to_files(tmp_path: Path) -> None:
    recipe = prepare.Recipe(copy_video=True, audio="copy")
    arguments = prepare.arguments("ffmpeg", recipe, tmp_path / "-i.source", tmp_path / "o.flv")
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file,pipe"
    assert arguments[arguments.index("-i") + 1].startswith("file:/")
    assert arguments[-1].startswith("file:/")


@pytest.mark.parametrize("head", [b"", b"\0\0\0\x18ftypmp42", b"\0\0\0\x10ftyp" + b"\0" * 12])
def test_an_index_not_seen_yet(head: bytes) -> None:
    assert prepare.moov_in_front(head) is None
