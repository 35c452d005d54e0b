"""How a file becomes an FLV that goes out as it is: which recipe, which FFmpeg arguments. Pure.

Copied where RTMP platforms take it as it is (H.264 4:2:0 with AAC); only the sound is made anew where only
that is not AAC; a silent track is added where there is none; everything else is converted beforehand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.protocol import VideoFile

PIXEL_FORMATS: Final = ("yuv420p", "yuvj420p")
DEMUXERS: Final = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv,mpegts,mpeg,avi"
"""Files only: a playlist or script dressed up as a video could make FFmpeg read others."""
SAMPLE_RATE: Final = 44100
AUDIO: Final = ("-c:a", "aac", "-b:a", "128k", "-ar", str(SAMPLE_RATE), "-ac", "2")
_LONG: Final = "min(1280,{0})"
_SHORT: Final = "min(720,{0})"


@dataclass(frozen=True, slots=True)
class Recipe:
    copy_video: bool
    audio: str
    """copy, convert or silence."""
    lead_s: float = 0.0
    """Converted sound begins that much before the file's own beginning, with silence."""

    def without_hole(self, seconds: float) -> Recipe:
        """For a file whose sound came out `seconds` after its picture, which is a gap at every receiver.

        Sound that begins late is filled up by being converted. An edit list needs one more step: copied, the
        picture it hides is sent too, from the key frame before the cut on, so silence goes before the rest.
        """
        return replace(self, audio="convert", lead_s=seconds if self.audio == "convert" else 0.0)

    @property
    def is_heavy(self) -> bool:
        return not self.copy_video


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file; None: nothing of that kind."""

    video_codec: str | None
    pixel_format: str | None
    audio_codec: str | None
    duration_s: float | None = None


def hinted(item: VideoFile) -> Contents | None:
    """What the control plane says is in it; None when it does not say enough."""
    if not item.video_codec or not item.pixel_format:
        return None
    return Contents(item.video_codec, item.pixel_format, item.audio_codec)


def recipe_for(contents: Contents) -> Recipe:
    takes = contents.video_codec == "h264" and contents.pixel_format in PIXEL_FORMATS
    if contents.audio_codec is None:
        return Recipe(takes, "silence")
    return Recipe(takes, "copy" if contents.audio_codec == "aac" else "convert")


def safe_prefix(setpriv: str | None, *, heavy: bool) -> list[str]:
    """What FFmpeg is started through: behind everything else, and gone when its agent is gone."""
    binding = [setpriv, "--no-new-privs", "--pdeathsig", "KILL"] if setpriv else []
    return [*binding, "nice", "-n", "15" if heavy else "5"]


def arguments(ffmpeg: str, recipe: Recipe, source: Path | None, output: Path) -> list[str]:
    """`source` None: the file comes in on standard input."""
    silent = recipe.audio == "silence"
    return [
        *[ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning", "-y"],
        *input_of(source),
        *(["-f", "lavfi", "-i", "anullsrc=r=44100:cl=stereo"] if silent else []),
        *["-map", "0:v:0", "-map", "1:a:0" if silent else "0:a:0"],
        *["-map_metadata", "-1", "-map_chapters", "-1"],
        *(["-c:v", "copy"] if recipe.copy_video else _convert_video()),
        *(["-c:a", "copy"] if recipe.audio == "copy" else AUDIO),
        *(_fill(recipe.lead_s) if recipe.audio == "convert" else []),
        *(["-shortest"] if silent else []),
        *["-avoid_negative_ts", "make_zero", "-f", "flv", f"file:{output}"],
    ]


def picture_arguments(ffmpeg: str, still: Path, output: Path) -> list[str]:
    """One frame of a one-frame FLV as a JPEG, at most 480 pixels wide."""
    return [
        *[ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning", "-y", "-threads", "1"],
        *input_of(still),
        *["-map", "0:v:0", "-frames:v", "1", "-vf", "scale='min(480,iw)':-2", "-pix_fmt", "yuvj420p", "-q:v", "5"],
        *["-f", "image2", "-update", "1", f"file:{output}"],
    ]


def _fill(lead_s: float) -> list[str]:
    first = -round(lead_s * SAMPLE_RATE)
    return ["-af", f"aresample={SAMPLE_RATE}:async=1:first_pts={first}"]


def probe_arguments(ffmpeg: str, source: Path) -> list[str]:
    """Lists the streams on standard error and ends (with an error, for there is no output)."""
    return [ffmpeg, "-hide_banner", "-nostdin", *input_of(source)]


def input_of(source: Path | None) -> list[str]:
    place = "pipe:0" if source is None else f"file:{source}"
    return [
        *["-thread_queue_size", "512"],
        *["-protocol_whitelist", "file,pipe", "-format_whitelist", DEMUXERS, "-i", place],
    ]


def _convert_video() -> list[str]:
    """At most 720p (upright: 720 wide) and 30 frames a second, at most 3 Mbit/s, a key frame every 2 s."""
    wide = f"if(gte(iw,ih),{_LONG.format('iw')},{_SHORT.format('iw')})"
    high = f"if(gte(iw,ih),{_SHORT.format('ih')},{_LONG.format('ih')})"
    fit = f"scale='{wide}':'{high}':force_original_aspect_ratio=decrease:force_divisible_by=2"
    return [
        *["-vf", rf"fps=min(source_fps\,30),{fit},setsar=1,format=yuv420p"],
        *["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "0"],
        *["-crf", "21", "-maxrate", "3M", "-bufsize", "6M"],
        *["-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0"],
    ]


_VIDEO: Final = re.compile(r"Stream #0:\d+.*?: Video: (\w+)(?: \([^)]*\))*,? ?([a-z]+\d*[a-z0-9]*)?")
_LENGTH: Final = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")
_SOUND: Final = re.compile(r"Stream #0:\d+.*?: Audio: (\w+)")


def read_probe(lines: list[str]) -> Contents:
    """From FFmpeg's listing of an input. Cover pictures are no video."""
    video = next((m for m in map(_VIDEO.search, lines) if m and "attached pic" not in m.string), None)
    sound = next((m for m in map(_SOUND.search, lines) if m), None)
    return Contents(
        video_codec=video[1] if video else None,
        pixel_format=video[2] if video else None,
        audio_codec=sound[1] if sound else None,
        duration_s=next((_seconds(m) for m in map(_LENGTH.search, lines) if m), None),
    )


def _seconds(length: re.Match[str]) -> float:
    return int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])


def moov_in_front(head: bytes) -> bool | None:
    """Whether an MP4's index comes before its media, from its first bytes; None while they do not tell."""
    at = 0
    while at + 16 <= len(head):
        size = int.from_bytes(head[at : at + 4], "big")
        kind = head[at + 4 : at + 8]
        if kind in (b"moov", b"mdat"):
            return kind == b"moov"
        if size == 1:
            size = int.from_bytes(head[at + 8 : at + 16], "big")
        if size < 8:
            return False
        at += size
    # A huge box before both: not the kind of file worth guessing about.
    return None if at < 1 << 20 else False


_REASONS: Final = (
    ("moov atom not found", "it is not a whole video file: its index is missing"),
    ("matches no streams", "there is no picture in it"),
    ("Invalid data found", "it is not a video that FFmpeg can read"),
    ("No space left", "the disk is full"),
    ("ormat not on whitelist", "it is not a kind of file that is played"),
)


def plain_reason(lines: list[str], code: int) -> str:
    """FFmpeg's last words as a sentence for people."""
    for sign, words in _REASONS:
        if any(sign in line for line in lines):
            return words
    return "FFmpeg was killed while preparing it" if code < 0 else f"FFmpeg could not prepare it (exit {code})"
