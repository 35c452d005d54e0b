"""How a slate is made: FFmpeg's arguments, for its own, for the owner's picture and for the owner's clip. Pure.

Each comes out as an FLV of exactly the profile, with a key frame every two seconds, no B-frames, and sound and
picture of one length, so that it can follow itself without end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent import prepare
from agent.profile import Profile

SECONDS: Final = 10.0
LONGEST_CLIP: Final = 60.0
KEY_EVERY: Final = 2
WORDS: Final = "We will be right back"
_DARK: Final = "0x10141b"
_LIGHT: Final = "0xc9d1dc"
_CALM: Final = "0x3d4b5f"
_SIGNS: Final = ((b"\x89PNG\r\n\x1a\n", "png_pipe"), (b"\xff\xd8\xff", "jpeg_pipe"))


def picture_format(head: bytes) -> str | None:
    """FFmpeg's name for a picture of this beginning; None for what is none of the three kinds taken."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp_pipe"
    return next((name for sign, name in _SIGNS if head.startswith(sign)), None)


def made(ffmpeg: str, of: Profile, output: Path, *, text: bool) -> list[str]:
    """A dark picture with two quiet bars, and words under them where FFmpeg can write."""
    one = ",".join(["trim=end_frame=1", *_bars(of), *(_words(of) if text else [])])
    graph = f"[0:v]{one},{_stand_still(of)}[v]"
    return [*_begin(ffmpeg), *_dark(of), *_silence(of), *_graph(graph, "1:a"), *_end(of, SECONDS, output)]


def of_picture(ffmpeg: str, of: Profile, source: Path, form: str, output: Path) -> list[str]:
    """The picture as large as it goes, with bars where its shape is another."""
    graph = (
        f"[0:v]trim=end_frame=1[bg];[2:v]{_fit(of)},setsar=1[fg];"
        f"[bg][fg]overlay=(W-w)/2:(H-h)/2,trim=end_frame=1,{_stand_still(of)}[v]"
    )
    picture = ["-protocol_whitelist", "file", "-f", form, "-i", f"file:{source}"]
    inputs = [*_dark(of), *_silence(of), *picture]
    return [*_begin(ffmpeg), *inputs, *_graph(graph, "1:a"), *_end(of, SECONDS, output)]


def of_clip(ffmpeg: str, of: Profile, source: Path, contents: prepare.Contents, output: Path) -> list[str]:
    """Its first minute. Picture and sound are both drawn out and cut at the same moment."""
    seconds = min(LONGEST_CLIP, max(1.0, contents.duration_s or LONGEST_CLIP))
    picture = (
        f"[1:v:0]fps={of.fps},{_fit(of)},pad={of.width}:{of.height}:-1:-1:color={_DARK},setsar=1,"
        "format=yuv420p,tpad=stop=-1:stop_mode=clone[v]"
    )
    sound = f";[1:a:0]aresample={of.sample_rate}:async=1:first_pts=0,apad[a]" if contents.audio_codec else ""
    inputs = [*_silence(of), *prepare.input_of(source)]
    return [*_begin(ffmpeg), *inputs, *_graph(picture + sound, "[a]" if sound else "0:a"), *_end(of, seconds, output)]


def _begin(ffmpeg: str) -> list[str]:
    return [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning", "-y"]


def _dark(of: Profile) -> list[str]:
    return ["-f", "lavfi", "-i", f"color=c={_DARK}:s={of.width}x{of.height}:r={of.fps}"]


def _silence(of: Profile) -> list[str]:
    return ["-f", "lavfi", "-i", f"anullsrc=r={of.sample_rate}:cl={'stereo' if of.channels == 2 else 'mono'}"]


def _graph(graph: str, sound: str) -> list[str]:
    return ["-filter_complex", graph, "-map", "[v]", "-map", sound, "-map_metadata", "-1"]


def _fit(of: Profile) -> str:
    return f"scale={of.width}:{of.height}:force_original_aspect_ratio=decrease:out_range=tv"


def _stand_still(of: Profile) -> str:
    """The one frame that was drawn, for ever."""
    return f"format=yuv420p,loop=loop=-1:size=1:start=0,setpts=N/({of.fps})/TB"


def _bars(of: Profile) -> list[str]:
    unit = max(2, min(of.width, of.height) // 60 * 2)
    top = of.height // 2 - 4 * unit
    lefts = (of.width // 2 - 2 * unit, of.width // 2 + unit)
    return [f"drawbox=x={left}:y={top}:w={unit}:h={4 * unit}:color={_CALM}:t=fill" for left in lefts]


def _words(of: Profile) -> list[str]:
    unit = max(2, min(of.width, of.height) // 60 * 2)
    size = max(8, min(of.width // 16, of.height // 14))
    place = f"x=(w-text_w)/2:y={of.height // 2 + 2 * unit}"
    return [f"drawtext=text='{WORDS}':font=Sans:fontsize={size}:fontcolor={_LIGHT}:{place}"]


def _end(of: Profile, seconds: float, output: Path) -> list[str]:
    frames = max(1, round(seconds * of.fps))
    keys = max(1, int(KEY_EVERY * of.fps))
    return [
        *["-t", f"{float(frames / of.fps):.6f}", "-r", str(of.fps)],
        *["-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-pix_fmt", "yuv420p", "-bf", "0"],
        *["-crf", "24", "-maxrate", "3M", "-bufsize", "6M"],
        *["-g", str(keys), "-keyint_min", str(keys), "-sc_threshold", "0"],
        *["-c:a", "aac", "-b:a", "96k", "-ar", str(of.sample_rate), "-ac", str(of.channels)],
        *["-avoid_negative_ts", "make_zero", "-f", "flv", f"file:{output}"],
    ]
