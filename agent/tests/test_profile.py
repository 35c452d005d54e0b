"""What a prepared file looks like, read from its first bytes."""

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout import amf
from agent.profile import DEFAULT, Profile, profile_of
from agent.tests.clips import make

WHOLE = {"width": 1920.0, "height": 1080.0, "framerate": 25.0, "audiosamplerate": 48000.0, "stereo": True}


def flv(about: object, name: str = "onMetaData") -> bytes:
    body = amf.encode(name, amf.EcmaArray(about) if isinstance(about, dict) else about)
    head = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
    return head + b"\x12" + len(body).to_bytes(3, "big") + bytes(7) + body + (len(body) + 11).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, Profile(1920, 1080, Fraction(25), 48000, 2)),
        ({"framerate": 29.97002997}, Profile(1920, 1080, Fraction(30000, 1001), 48000, 2)),
        ({"framerate": 23.976}, Profile(1920, 1080, Fraction(24000, 1001), 48000, 2)),
        ({"framerate": 24.31}, Profile(1920, 1080, Fraction(24), 48000, 2)),
        ({"framerate": 120.0}, Profile(1920, 1080, Fraction(60), 48000, 2)),
        ({"framerate": 0.0}, Profile(1920, 1080, DEFAULT.fps, 48000, 2)),
        ({"framerate": float("nan")}, Profile(1920, 1080, DEFAULT.fps, 48000, 2)),
        ({"framerate": "25"}, Profile(1920, 1080, DEFAULT.fps, 48000, 2)),
        ({"audiosamplerate": 12345.0, "stereo": False}, Profile(1920, 1080, Fraction(25), 44100, 1)),
        ({"width": 321.0, "height": 181.0}, Profile(320, 180, Fraction(25), 48000, 2)),
        ({"width": 7680.0, "height": 4320.0}, Profile(4096, 2304, Fraction(25), 48000, 2)),
        ({"width": 1.0, "height": 1.0}, Profile(16, 16, Fraction(25), 48000, 2)),
        ({"width": 0.0}, None),
        ({"width": True}, None),
        ({"height": None}, None),
    ],
)
def test_what_the_metadata_says(change: dict, wanted: Profile | None) -> None:
    assert profile_of(flv(WHOLE | change)) == wanted


@pytest.mark.parametrize("head", [b"", b"FLV", b"RIFF" * 20, flv(None), flv("text"), flv(WHOLE)[:60]])
def test_what_says_nothing(head: bytes) -> None:
    assert profile_of(head) is None


@given(junk=st.binary(max_size=300), at=st.integers(0, 300))
def test_no_bytes_surprise_it(junk: bytes, at: int) -> None:
    whole = flv(WHOLE)
    profile_of(whole[:at] + junk + whole[at + len(junk) :])
    profile_of(whole[:24] + junk)


def test_a_profiles_name_is_safe_in_a_files_name() -> None:
    assert DEFAULT.name == "1280x720-30-44100-2"
    assert Profile(720, 1280, Fraction(30000, 1001), 48000, 1).name == "720x1280-29.97-48000-1"


def test_of_a_file_that_ffmpeg_wrote(tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", seconds=1, audio=("-c:a", "aac", "-ar", "48000", "-ac", "1"))
    out = tmp_path / "a.flv"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-c", "copy", str(out)], check=True)
    assert profile_of(out.read_bytes()[:4096]) == Profile(320, 180, Fraction(25), 48000, 1)
