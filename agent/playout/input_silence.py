"""A silent AAC track for a live input that has none: platforms take no video without sound. Pure."""

from collections.abc import Iterator
from typing import Final

from . import flv
from .flv import Tag

RATE: Final = 48_000
FRAME: Final = 1024
MAX_STEP_MS: Final = 1_000
_AAC_STEREO: Final = b"\xaf"
HEADER: Final = _AAC_STEREO + b"\x00\x11\x90"
"""AudioSpecificConfig: AAC-LC, 48 kHz, two channels."""
SILENT: Final = _AAC_STEREO + b"\x01\x21\x10\x04\x60\x8c\x1c"


class Silence:
    """Puts silent frames between the video's tags, up to the time of each."""

    def __init__(self) -> None:
        self._start_ms: int | None = None
        self._frames = 0

    def fill(self, tags: list[Tag]) -> list[Tag]:
        filled: list[Tag] = []
        for tag in tags:
            if tag.kind == flv.VIDEO and not tag.is_codec_header:
                filled += self._up_to(tag.timestamp)
            filled.append(tag)
        return filled

    def _up_to(self, stamp_ms: int) -> Iterator[Tag]:
        if self._start_ms is None:
            yield Tag(flv.AUDIO, stamp_ms, HEADER)
        if self._start_ms is None or abs(stamp_ms - self._next_ms) > MAX_STEP_MS:
            self._start_ms, self._frames = stamp_ms, 0
        while self._next_ms <= stamp_ms:
            yield Tag(flv.AUDIO, self._next_ms, SILENT)
            self._frames += 1

    @property
    def _next_ms(self) -> int:
        return (self._start_ms or 0) + self._frames * FRAME * 1000 // RATE
