"""Small real videos made by FFmpeg, for every test that needs one."""

from __future__ import annotations

import subprocess
from pathlib import Path

FFMPEG = "ffmpeg"


def make_clip(
    path: Path,
    *,
    seconds: float = 2.0,
    size: str = "320x180",
    fps: int = 25,
    codec: str = "libx264",
    audio: str | None = "aac",
    bframes: int = 0,
    key_frames_s: float = 2.0,
    kbps: int | None = None,
    pixel_format: str = "yuv420p",
    moov_first: bool = False,
    source: str = "testsrc2",
    extra: tuple[str, ...] = (),
) -> Path:
    """An MP4 at `path`: a test picture with a 440 Hz tone. `codec` and `audio` are FFmpeg's encoder names.

    `key_frames_s` apart; `moov_first` puts the index in front; `source` is a lavfi source (`color=black` …).
    """
    gop = str(round(key_frames_s * fps))
    joint = ":" if "=" in source else "="
    arguments = ["-f", "lavfi", "-i", f"{source}{joint}s={size}:r={fps}:d={seconds}"]
    if audio:
        arguments += ["-f", "lavfi", "-i", f"sine=440:d={seconds}:r=48000", "-c:a", audio]
    arguments += ["-c:v", codec, "-pix_fmt", pixel_format, "-g", gop, "-keyint_min", gop, "-bf", str(bframes)]
    arguments += ["-preset", "ultrafast"] if codec in ("libx264", "libx265") else []
    arguments += ["-sc_threshold", "0"] if codec == "libx264" else []
    arguments += ["-x265-params", "log-level=none"] if codec == "libx265" else []
    arguments += ["-b:v", f"{kbps}k"] if kbps else []
    arguments += ["-movflags", "+faststart"] if moov_first else []
    return _ffmpeg(*arguments, *extra, path)


def variable_rate(path: Path) -> Path:
    """25 frames a second in the first half, then about 8."""
    drop = "select='lt(t,1)+not(mod(n,3))'"
    return make_clip(path, extra=("-vf", drop, "-fps_mode", "passthrough"))


def audio_only(path: Path) -> Path:
    return _ffmpeg("-f", "lavfi", "-i", "sine=440:d=1", "-c:a", "aac", path)


def old_codec(path: Path) -> Path:
    """MPEG-4 part 2: a codec we do not take."""
    return make_clip(path, codec="mpeg4", seconds=1)


def truncated(whole: Path, path: Path, share: float = 0.6) -> Path:
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def text(path: Path) -> Path:
    path.write_text("This is not a video.\n" * 50)
    return path


def _ffmpeg(*arguments: str | Path) -> Path:
    command = [FFMPEG, "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return Path(arguments[-1])
