"""Looks at an FLV that is being written: how much of it can play already, and how long it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from agent import profile
from agent.profile import Profile

ENOUGH_SECONDS: Final = 2.0
ENOUGH_BYTES: Final = 1024 * 1024
_AUDIO: Final = 8
_VIDEO: Final = 9
_HEADER: Final = 13
_TAG: Final = 11


def profile_at(path: Path) -> Profile | None:
    if not path.exists():
        return None
    with path.open("rb") as file:
        return profile.profile_of(file.read(profile.HEAD))


class Scanner:
    """Reads only tag headers; `look` goes on where the last one stopped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = _HEADER
        self.first_video_ms: int | None = None
        self.first_audio_ms: int | None = None
        self.last_ms = 0

    @property
    def seconds(self) -> float:
        return self.last_ms / 1000

    @property
    def plays(self) -> bool:
        """A key frame is there and enough after it to begin."""
        if self.first_video_ms is None:
            return False
        return self.last_ms - self.first_video_ms >= ENOUGH_SECONDS * 1000 or self._at >= ENOUGH_BYTES

    @property
    def hole_s(self) -> float | None:
        """Seconds of picture before the first sound (below 0: the other way round); None: not known."""
        if self.first_video_ms is None or self.first_audio_ms is None:
            return None
        return (self.first_audio_ms - self.first_video_ms) / 1000

    def look(self, limit: int | None = None) -> None:
        """Takes in the tags written since; stops at an unfinished one, or once `limit` bytes were seen."""
        if not self._path.exists():
            return
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            while limit is None or self._at < limit:
                file.seek(self._at)
                head = file.read(_TAG + 2)
                if len(head) < _TAG + 2:
                    return
                end = self._at + _TAG + int.from_bytes(head[1:4], "big") + 4
                if end > size:
                    return
                self._take(head)
                self._at = end

    def _take(self, head: bytes) -> None:
        kind = head[0] & 0x1F
        time = int.from_bytes(head[7:8] + head[4:7], "big")
        # Byte 12 is 0 in a codec header of AVC and AAC; those carry no media.
        if kind == _VIDEO and head[12] == 1:
            if self.first_video_ms is None and head[11] >> 4 == 1:
                self.first_video_ms = time
            self.last_ms = max(self.last_ms, time)
        elif kind == _AUDIO and head[12] == 1:
            if self.first_audio_ms is None:
                self.first_audio_ms = time
            self.last_ms = max(self.last_ms, time)
