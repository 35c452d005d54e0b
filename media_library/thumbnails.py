"""A picture of each video: not a black one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _
from PIL import Image, ImageStat, UnidentifiedImageError

from media_library import sandbox
from media_library.errors import Unfit

WIDTH: Final = 640
LIMIT_S: Final = 60
PLACES: Final = (0.1, 0.35, 0.6, 0.0)
"""Where to look, as shares of the duration; the first picture that is not dark is taken."""
_DARK: Final = 24.0
"""Mean brightness (0–255) under which a picture counts as black."""


def command(source: Path, at_s: float, target: Path) -> list[str]:
    """FFmpeg's arguments: the most typical of 25 frames from `at_s` on, at most 640 wide and high, as JPEG.

    The input's format is named, so that a playlist or script dressed up as MP4 is not followed.
    """
    fit = f"scale={WIDTH}:{WIDTH}:force_original_aspect_ratio=decrease:force_divisible_by=2"
    return [
        *(settings.FFMPEG, "-nostdin", "-hide_banner", "-v", "error", "-y"),
        *(
            "-protocol_whitelist",
            "file,pipe",
            "-threads",
            "1",
            "-ss",
            f"{at_s:.3f}",
            "-f",
            "mov",
            "-i",
            str(source),
        ),
        *("-map", "0:v:0", "-vf", f"thumbnail=25,{fit}", "-frames:v", "1"),
        *("-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "4", "-f", "image2", "-update", "1", str(target)),
    ]


def make(source: Path, duration_s: float, target: Path) -> None:
    """Writes a JPEG to `target`. Raises Unfit when no frame of the video can be decoded."""
    best = -1.0
    for brightness, picture in _pictures(source, duration_s, target):
        if brightness > best:
            best = brightness
            picture.replace(target)
        if best >= _DARK:
            return
    if best < 0:
        raise Unfit(_("No picture of this video can be decoded: the file is damaged."))


def _pictures(source: Path, duration_s: float, target: Path) -> Iterator[tuple[float, Path]]:
    candidate = target.with_suffix(".candidate.jpg")
    try:
        for place in PLACES:
            if _run(command(source, duration_s * place, candidate)) and (light := brightness(candidate)) is not None:
                yield light, candidate
    finally:
        candidate.unlink(missing_ok=True)


def _run(arguments: list[str]) -> bool:
    try:
        return sandbox.run(arguments, LIMIT_S).returncode == 0
    except sandbox.TookTooLong:
        return False


def brightness(picture: Path) -> float | None:
    """Mean brightness, 0–255; None when there is no picture in the file."""
    try:
        with Image.open(picture) as image:
            return float(ImageStat.Stat(image.convert("L")).mean[0])
    except (FileNotFoundError, UnidentifiedImageError):
        return None
