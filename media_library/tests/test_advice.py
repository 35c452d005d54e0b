"""What a platform would dislike, as data."""

from types import SimpleNamespace

import pytest

from media_library.advice import advice

FINE = {
    "width": 1920, "height": 1080, "bitrate_kbps": 4500, "frame_rate": 30.0, "is_variable_rate": False,
    "video_codec": "h264", "pixel_format": "yuv420p", "key_frame_interval_s": 2.0, "audio_codec": "aac",
    "sample_rate": 48_000,
}  # fmt: skip


def said(**change):
    return [(one.tone, one.title) for one in advice(SimpleNamespace(**FINE | change))]


def test_nothing_to_object_to():
    assert said() == []


@pytest.mark.parametrize(
    ("change", "tone", "title"),
    [
        ({"key_frame_interval_s": 4.1}, "warning", "Key frames are too far apart"),
        ({"key_frame_interval_s": 4.0}, "info", "Key frames could be closer"),
        ({"audio_codec": "", "sample_rate": None}, "warning", "There is no sound"),
        ({"audio_codec": "mp3"}, "info", "The sound is MP3"),
        ({"sample_rate": 22_050}, "info", "Sound at 22050 Hz"),
        ({"video_codec": "hevc"}, "warning", "The picture is HEVC (H.265)"),
        ({"pixel_format": "yuv420p10le"}, "warning", "Unusual colours: yuv420p10le"),
        ({"is_variable_rate": True}, "warning", "The frame rate changes within the video"),
        ({"frame_rate": 120.0}, "warning", "120 frames a second"),
        ({"width": 853, "height": 480}, "warning", "853×480"),
        ({"width": 3840, "height": 2160}, "info", "3840×2160"),
        ({"bitrate_kbps": 9000}, "info", "9.0 Mbit/s"),
        ({"bitrate_kbps": 60_000}, "warning", "60.0 Mbit/s"),
    ],
)
def test_each_is_said_once(change, tone, title):
    assert said(**change) == [(tone, title)]


def test_sixty_frames_and_portrait_are_fine():
    assert said(frame_rate=60.0) == []
    assert said(width=1080, height=1920) == []


def test_warnings_come_first_and_nothing_known_is_no_error():
    tones = [tone for tone, _title in said(bitrate_kbps=9000, is_variable_rate=True)]
    assert tones == ["warning", "info"]
    unknown = dict.fromkeys(FINE, None) | {"is_variable_rate": False, "video_codec": "", "pixel_format": ""}
    assert [one.title for one in advice(SimpleNamespace(**unknown | {"audio_codec": ""}))] == ["There is no sound"]
