"""What a prepared file looks like from outside: the profile a slate between files must have too. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from agent.playout import amf

HEAD: Final = 4096
"""Bytes of an FLV that hold all FFmpeg wrote about it."""
_RATES: Final = (
    *(Fraction(15), Fraction(20), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001)),
    *(Fraction(30), Fraction(48), Fraction(50), Fraction(60000, 1001), Fraction(60)),
)
_SAMPLE_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LONGEST_SIDE: Final = 4096
_SCRIPT: Final = 18


@dataclass(frozen=True, slots=True)
class Profile:
    width: int
    height: int
    fps: Fraction
    sample_rate: int
    channels: int

    @property
    def name(self) -> str:
        """Safe as part of a file's name."""
        return f"{self.width}x{self.height}-{float(self.fps):.5g}-{self.sample_rate}-{self.channels}"


DEFAULT: Final = Profile(1280, 720, Fraction(30), 44100, 2)
"""Of the slate that is shown before anything else was on air."""


def profile_of(head: bytes) -> Profile | None:
    """From the first bytes of an FLV; None when they do not tell. Rates are those that exist: a file whose rate
    varies says any number, and each number would be another slate.
    """
    about = _metadata(head)
    width, height = _number(about, "width"), _number(about, "height")
    if width is None or height is None:
        return None
    shrink = min(1.0, _LONGEST_SIDE / max(width, height))
    return Profile(
        width=_even(width * shrink),
        height=_even(height * shrink),
        fps=_nearest_rate(_number(about, "framerate")),
        sample_rate=_sample_rate(_number(about, "audiosamplerate")),
        channels=2 if about.get("stereo", True) is True else 1,
    )


def _metadata(head: bytes) -> Mapping[str, amf.Value]:
    """The first script tag's map; empty when there is none."""
    if head[:3] != b"FLV" or len(head) < 13:
        return {}
    at = int.from_bytes(head[5:9], "big") + 4
    size = int.from_bytes(head[at + 1 : at + 4], "big")
    if head[at : at + 1] != bytes([_SCRIPT]):
        return {}
    try:
        values = amf.decode(head[at + 11 : at + 11 + size])
    except amf.AmfError:
        return {}
    return next((value for value in values if isinstance(value, Mapping)), {})


def _number(about: Mapping[str, amf.Value], name: str) -> float | None:
    value = about.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 < value < 1e6 else None


def _even(side: float) -> int:
    return max(16, int(side) // 2 * 2)


def _nearest_rate(fps: float | None) -> Fraction:
    if fps is None:
        return DEFAULT.fps
    return min(_RATES, key=lambda rate: abs(float(rate) - fps))


def _sample_rate(told: float | None) -> int:
    return int(told) if told in _SAMPLE_RATES else DEFAULT.sample_rate
