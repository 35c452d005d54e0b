"""What a video file is, from its index: no frame is decoded and the media are not read.

`read(path)` runs in a process of its own (`python probe.py FILE`, limits set by `sandbox`), for libav
parses hostile bytes: a crash, a loop or a greedy allocation ends that process and nothing else. No Django here.
The rest is pure: `facts` over what was read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any, Final

_VARIABLE_SHARE: Final = 0.01
"""More than this share of odd frame distances makes a variable frame rate: single hiccups are common."""


@dataclass(frozen=True)
class Sample:
    """One frame in the index. `time` in ticks of the track's time base."""

    time: int
    is_key: bool
    end: int
    """Offset of the byte after it; 0 when not known."""


@dataclass(frozen=True)
class Facts:
    """What is known of a file. Empty strings and zeros stand for what it does not have."""

    container: str
    duration_s: float
    frames: int
    width: int
    height: int
    video_codec: str
    profile: str
    pixel_format: str
    frame_rate: float
    is_variable_rate: bool
    key_frame_interval_s: float
    """The longest stretch without a key frame."""
    bitrate_kbps: int
    audio_codec: str
    sample_rate: int
    audio_channels: int
    last_byte: int
    """Offset after the last frame; more than the file's size when the file is cut off."""


@dataclass(frozen=True)
class Timing:
    frame_rate: float
    is_variable: bool
    key_frame_interval_s: float


def timing(samples: Sequence[Sample], tick: Fraction, duration_s: float) -> Timing:
    """Frame rate, its steadiness and the longest stretch without a key frame."""
    if len(samples) < 2:
        return Timing(0.0, False, duration_s)
    times = [sample.time for sample in samples]
    steps = [later - earlier for earlier, later in pairwise(times)]
    usual = median(steps)
    odd = sum(abs(step - usual) > max(2, usual / 10) for step in steps)
    span = (times[-1] - times[0] + usual) * tick
    rate = float(len(samples) / span) if span > 0 else 0.0
    return Timing(rate, odd > _VARIABLE_SHARE * len(steps), _longest_stretch(samples, tick, usual))


def _longest_stretch(samples: Sequence[Sample], tick: Fraction, usual: float) -> float:
    """In seconds; the stretch from the last key frame to the end counts as well."""
    keys = [sample.time for sample in samples if sample.is_key]
    marks = [*keys, samples[-1].time + usual]
    if not keys:
        return float((marks[-1] - samples[0].time) * tick)
    return float(max(later - earlier for earlier, later in pairwise(marks)) * tick)


def read(path: str) -> Facts:
    """Opens the file with libav. Raises av.error.FFmpegError for what it cannot read."""
    import av

    with av.open(path, options={"protocol_whitelist": "file"}) as container:
        video = container.streams.video[0] if container.streams.video else None
        audio = container.streams.audio[0] if container.streams.audio else None
        duration_s = (container.duration or 0) / av.time_base
        samples = _samples(container, video) if video else []
        tick = Fraction(video.time_base) if video and video.time_base else Fraction(1)
        if not container.duration and len(samples) > 1:
            duration_s = float((samples[-1].time - samples[0].time) * tick)
        found = timing(samples, tick, duration_s)
        codec = video.codec_context if video else None
        return Facts(
            container=container.format.name,
            duration_s=round(duration_s, 3),
            frames=len(samples),
            width=codec.width if codec else 0,
            height=codec.height if codec else 0,
            video_codec=codec.codec.canonical_name if codec else "",
            profile=str(codec.profile or "") if codec else "",
            pixel_format=codec.pix_fmt or "" if codec else "",
            frame_rate=round(found.frame_rate, 3),
            is_variable_rate=found.is_variable,
            key_frame_interval_s=round(found.key_frame_interval_s, 3),
            bitrate_kbps=round((container.bit_rate or 0) / 1000),
            audio_codec=audio.codec_context.codec.canonical_name if audio else "",
            sample_rate=audio.codec_context.sample_rate or 0 if audio else 0,
            audio_channels=audio.codec_context.layout.nb_channels if audio else 0,
            last_byte=max((sample.end for sample in samples), default=0),
        )


def _samples(container: Any, video: Any) -> list[Sample]:
    """From the index; a fragmented file has none for most of its frames, so its packets are walked."""
    entries = video.index_entries
    if video.frames and len(entries) >= video.frames:
        return [Sample(entry.timestamp, entry.is_keyframe, entry.pos + entry.size) for entry in entries]
    return [
        Sample(packet.dts, packet.is_keyframe, (packet.pos or 0) + packet.size)
        for packet in container.demux(video)
        if packet.dts is not None
    ]


def main(path: str) -> int:
    import av

    try:
        print(json.dumps(asdict(read(path))))  # noqa: T201  (its caller reads standard output)
    except (av.error.FFmpegError, ValueError) as error:
        print(str(error), file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
