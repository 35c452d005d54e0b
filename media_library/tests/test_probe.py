"""What is read from real files, and what is refused with which words."""

import contextlib
import hashlib
import io
import subprocess
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_library import mp4, probing, thumbnails
from media_library.errors import Unfit
from media_library.probe import Facts, Sample, timing
from media_library.tests import clips


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    return clips.make_clip(tmp_path_factory.mktemp("clips") / "plain.mp4", bframes=2, key_frames_s=1.0)


def test_it_reads_the_facts(plain):
    facts = probing.probe(plain)
    assert (facts.width, facts.height, facts.video_codec, facts.pixel_format) == (320, 180, "h264", "yuv420p")
    assert (facts.audio_codec, facts.sample_rate, facts.audio_channels) == ("aac", 48_000, 1)
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)
    assert facts.frame_rate == pytest.approx(25.0, abs=0.01)
    assert facts.key_frame_interval_s == pytest.approx(1.0, abs=0.01)
    assert not facts.is_variable_rate
    assert facts.frames == 50


def test_it_sees_a_variable_frame_rate(tmp_path):
    facts = probing.probe(clips.variable_rate(tmp_path / "vfr.mp4"))
    assert facts.is_variable_rate


def test_it_reads_a_silent_hevc_file(tmp_path):
    facts = probing.probe(clips.make_clip(tmp_path / "h.mp4", codec="libx265", audio=None, seconds=1))
    assert (facts.video_codec, facts.audio_codec) == ("hevc", "")
    probing.judge(facts, 10**6, 1080)


def test_it_reads_a_fragmented_file(tmp_path):
    clip = clips.make_clip(
        tmp_path / "f.mp4", key_frames_s=1.0, extra=("-movflags", "frag_keyframe+empty_moov+default_base_moof")
    )
    facts = probing.probe(clip)
    assert facts.frames == 50
    assert facts.key_frame_interval_s == pytest.approx(1.0, abs=0.05)
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)


def test_a_text_file_cannot_be_probed(tmp_path):
    with pytest.raises(Unfit, match="cannot be read"):
        probing.probe(clips.text(tmp_path / "t.mp4"))


def test_a_hostile_index_ends_the_probe_only(plain, tmp_path):
    """Two thousand million frames of nothing: libav may crash or starve, we must not."""
    data = bytearray(plain.read_bytes())
    at = data.index(b"stsz")
    data[at + 12 : at + 16] = b"\x7f\xff\xff\xff"
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(data)
    with contextlib.suppress(Unfit):
        probing.judge(probing.probe(bad), len(data), None)


FACTS = Facts("mov", 2.0, 50, 320, 180, "h264", "High", "yuv420p", 25.0, False, 2.0, 300, "aac", 48_000, 2, 900)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"video_codec": ""}, "only sound"),
        ({"video_codec": "mpeg4"}, "MPEG4"),
        ({"frames": 0}, "not a single picture"),
        ({"width": 0}, "not a single picture"),
        ({"last_byte": 1001}, "cut off"),
        ({"duration_s": 0.0}, "no length"),
        ({"width": 2560, "height": 1440}, "2560×1440"),
        ({"width": 1440, "height": 2560}, "1080p"),
    ],
)
def test_it_is_refused_with_a_reason(change, word):
    with pytest.raises(Unfit, match=word):
        probing.judge(replace(FACTS, **change), 1000, 1080)


def test_what_fits_is_taken():
    probing.judge(FACTS, 1000, 1080)
    probing.judge(replace(FACTS, width=7680, height=4320), 1000, None)
    probing.judge(replace(FACTS, width=1080, height=1920), 1000, 1080)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.booleans()), max_size=50), st.integers(1, 90_000))
def test_timing_never_fails(raw, scale):
    samples = [Sample(time, is_key, 0) for time, is_key in sorted(raw)]
    found = timing(samples, Fraction(1, scale), 1.0)
    assert found.frame_rate >= 0
    assert found.key_frame_interval_s >= 0


def test_milliseconds_ticks_are_not_variable():
    """30 frames a second in ticks of 1 ms step 33, 33, 34."""
    samples = [Sample(round(n * 1000 / 30), n % 60 == 0, 0) for n in range(300)]
    found = timing(samples, Fraction(1, 1000), 10.0)
    assert not found.is_variable
    assert found.frame_rate == pytest.approx(30, abs=0.1)
    assert found.key_frame_interval_s == pytest.approx(2.0, abs=0.01)


def test_the_last_stretch_counts():
    samples = [Sample(n, n in (0, 10), 0) for n in range(100)]
    assert timing(samples, Fraction(1, 10), 10.0).key_frame_interval_s == pytest.approx(9.0)


# ------------------------------------------------------------------------------------------------ boxes


def layout_of(path):
    with path.open("rb") as file:
        return mp4.layout(file, path.stat().st_size)


def decoded(path):
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0", "-f", "framemd5", "-"]
    return hashlib.sha256(subprocess.run(command, check=True, capture_output=True).stdout).hexdigest()


@pytest.mark.parametrize("moov_first", [False, True])
def test_it_knows_where_the_index_is(tmp_path, moov_first):
    clip = clips.make_clip(tmp_path / "c.mp4", moov_first=moov_first)
    assert layout_of(clip).needs_move is not moov_first


def test_moving_the_index_leaves_every_frame_as_it_was(plain, tmp_path):
    moved = tmp_path / "moved.mp4"
    with plain.open("rb") as source, moved.open("wb") as target:
        mp4.write_moov_first(source, target, layout_of(plain))
    assert not layout_of(moved).needs_move
    assert moved.stat().st_size == plain.stat().st_size
    assert decoded(moved) == decoded(plain)


def test_offsets_past_four_gib_are_widened(plain):
    """The index alone, as if its media ended just under 4 GiB."""
    found = layout_of(plain)
    data = plain.read_bytes()
    moov = bytearray(data[found.moov.start : found.moov.end])
    tables = list(mp4._offset_tables(bytes(moov)))
    old = [int.from_bytes(moov[a + 8 : a + 12], "big") for _kind, a, _end in tables]
    for _kind, a, _end in tables:
        moov[a + 8 : a + 12] = (2**32 - 5).to_bytes(4, "big")
    wide = mp4._moved(bytes(moov), 40, mp4.Box(b"moov", 2**33, len(moov)))
    assert len(wide) > len(moov)
    for kind, a, _end in mp4._offset_tables(wide):
        assert kind == b"co64"
        assert int.from_bytes(wide[a + 8 : a + 16], "big") == 2**32 - 5 + len(wide)
    assert len(old) == 2


@pytest.mark.parametrize("share", [0.05, 0.5, 0.98])
@pytest.mark.parametrize("moov_first", [False, True])
def test_a_cut_file_is_refused(tmp_path, share, moov_first):
    whole = clips.make_clip(tmp_path / "w.mp4", seconds=1, moov_first=moov_first)
    with pytest.raises(Unfit, match=r"cut off|no index"):
        layout_of(clips.truncated(whole, tmp_path / "t.mp4", share))


def test_text_is_no_mp4(tmp_path):
    with pytest.raises(Unfit, match="not an MP4"):
        layout_of(clips.text(tmp_path / "t.mp4"))


@given(st.binary(max_size=200))
def test_rubbish_boxes_are_refused_not_followed(data):
    with pytest.raises(Unfit):
        mp4.layout(io.BytesIO(b"\0\0\0\x08ftyp" + data), 8 + len(data))


@given(st.binary(max_size=300))
def test_a_rubbish_index_is_refused_or_kept(data):
    moov = (len(data) + 8).to_bytes(4, "big") + b"moov" + data
    with contextlib.suppress(Unfit):
        mp4._moved(moov, 0, mp4.Box(b"moov", 0, len(moov)))


# ------------------------------------------------------------------------------------------------ pictures


def test_a_thumbnail_is_not_black(tmp_path):
    """Black for most of it, then a picture."""
    clip = clips.make_clip(tmp_path / "b.mp4", seconds=3, extra=("-vf", "drawbox=c=black:t=fill:enable='lt(t,1.5)'"))
    thumbnails.make(clip, 3.0, tmp_path / "b.jpg")
    assert thumbnails.brightness(tmp_path / "b.jpg") > 24
    assert not list(tmp_path.glob("*candidate*"))


def test_a_black_video_still_has_a_thumbnail(tmp_path):
    clip = clips.make_clip(tmp_path / "b.mp4", seconds=1, source="color=black")
    thumbnails.make(clip, 1.0, tmp_path / "b.jpg")
    assert thumbnails.brightness(tmp_path / "b.jpg") < 5


def test_what_cannot_be_decoded_is_refused(plain, tmp_path):
    found = layout_of(plain)
    data = bytearray(plain.read_bytes())
    media = next(box for box in found.boxes if box.kind == b"mdat")
    data[media.start + 8 : media.end] = bytes(media.size - 8)
    bad = tmp_path / "z.mp4"
    bad.write_bytes(data)
    with pytest.raises(Unfit, match="decoded"):
        thumbnails.make(bad, 2.0, tmp_path / "z.jpg")
