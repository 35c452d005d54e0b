"""What a platform would dislike about a video, in plain words. Pure: cases as data in tests/test_advice.py.

Sources: YouTube warns about key frames more than 4 s apart and asks for 2 s; Twitch takes at most 1080p60 and
6,000 kbit/s and asks for 2 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from django.utils.translation import gettext as _

MAX_KEY_FRAME_INTERVAL_S: Final = 4.0
GOOD_KEY_FRAME_INTERVAL_S: Final = 2.1
TWITCH_MAX_KBPS: Final = 6_000
YOUTUBE_MAX_KBPS: Final = 51_000
MAX_RATE: Final = 60.5
MAX_HEIGHT: Final = 1080
GOOD_PIXEL_FORMATS: Final = ("yuv420p", "yuvj420p")
GOOD_SAMPLE_RATES: Final = (44_100, 48_000)


class Video(Protocol):
    """What advice looks at: a VideoFile, or anything with its facts."""

    width: int | None
    height: int | None
    bitrate_kbps: int | None
    frame_rate: float | None
    is_variable_rate: bool
    video_codec: str
    pixel_format: str
    key_frame_interval_s: float | None
    audio_codec: str
    sample_rate: int | None


@dataclass(frozen=True)
class Advice:
    """`tone` is the design system's: warning for what will be noticed, info for what is good to know."""

    tone: str
    title: str
    text: str


def advice(video: Video) -> tuple[Advice, ...]:
    """Warnings first."""
    found = [one for rule in RULES for one in rule(video)]
    return tuple(sorted(found, key=lambda one: one.tone != "warning"))


def _key_frames(video: Video) -> Iterator[Advice]:
    seconds = video.key_frame_interval_s or 0.0
    if seconds > MAX_KEY_FRAME_INTERVAL_S:
        text = _("Up to %(s).1f s pass without one. YouTube warns above 4 s, and viewers wait longer to see a picture.")
        yield Advice("warning", _("Key frames are too far apart"), text % {"s": seconds})
    elif seconds > GOOD_KEY_FRAME_INTERVAL_S:
        text = _("Up to %(s).1f s pass without one. That is allowed; Twitch and YouTube recommend 2 s.")
        yield Advice("info", _("Key frames could be closer"), text % {"s": seconds})


def _audio(video: Video) -> Iterator[Advice]:
    if not video.audio_codec:
        text = _("Platforms expect sound. Silence is sent with this video, so that the stream stays valid.")
        yield Advice("warning", _("There is no sound"), text)
    elif video.audio_codec != "aac":
        text = _("Platforms expect AAC. The sound is converted on the VPS before this video plays.")
        title = _("The sound is %(codec)s") % {"codec": video.audio_codec.upper()}
        yield Advice("info", title, text)
    elif video.sample_rate not in GOOD_SAMPLE_RATES:
        title = _("Sound at %(rate)s Hz") % {"rate": video.sample_rate}
        yield Advice("info", title, _("Platforms recommend 44,100 or 48,000 Hz."))


def _codec(video: Video) -> Iterator[Advice]:
    if video.video_codec == "hevc":
        text = _("Most platforms take only H.264 over RTMP. The video has to be converted before it can play.")
        yield Advice("warning", _("The picture is HEVC (H.265)"), text)


def _pixels(video: Video) -> Iterator[Advice]:
    if video.pixel_format and video.pixel_format not in GOOD_PIXEL_FORMATS:
        text = _("Platforms expect 8 bits and 4:2:0 (yuv420p). Many players show nothing else.")
        title = _("Unusual colours: %(format)s") % {"format": video.pixel_format}
        yield Advice("warning", title, text)


def _rate(video: Video) -> Iterator[Advice]:
    if video.is_variable_rate:
        text = _("Phones and screen recorders do this. Platforms may stutter or report an unstable stream.")
        yield Advice("warning", _("The frame rate changes within the video"), text)
    if (video.frame_rate or 0.0) > MAX_RATE:
        title = _("%(rate).0f frames a second") % {"rate": video.frame_rate}
        yield Advice("warning", title, _("Platforms take at most 60."))


def _size(video: Video) -> Iterator[Advice]:
    width, height = video.width or 0, video.height or 0
    title = f"{width}×{height}"
    if width % 2 or height % 2:
        yield Advice("warning", title, _("Width and height should be even numbers: many decoders refuse odd ones."))
    if min(width, height) > MAX_HEIGHT:
        yield Advice("info", title, _("Larger than 1080p: Twitch does not take it. YouTube does."))


def _bitrate(video: Video) -> Iterator[Advice]:
    kbps = video.bitrate_kbps or 0
    title = _("%(mbps).1f Mbit/s") % {"mbps": kbps / 1000}
    if kbps > YOUTUBE_MAX_KBPS:
        yield Advice("warning", title, _("More than any platform takes (YouTube: 51 Mbit/s)."))
    elif kbps > TWITCH_MAX_KBPS:
        yield Advice("info", title, _("More than Twitch takes (6 Mbit/s). YouTube takes it."))


RULES: Final[tuple[Callable[[Video], Iterator[Advice]], ...]] = (
    _key_frames,
    _audio,
    _codec,
    _pixels,
    _rate,
    _size,
    _bitrate,
)
