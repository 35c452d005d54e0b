"""What a recording of a stream says: codecs, size, length, timestamps, and whether sound and picture agree.

For clips made by `sync_clip`: a white flash and a beep at each full second. Where the two come apart in a
recording, something on the way shifted one of them.
"""

from __future__ import annotations

import array
import itertools
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av

_BRIGHT: Final = 120
_LOUD: Final = 4000
_SAMPLE_RATE: Final = 16_000


@dataclass(frozen=True)
class Facts:
    """Of one recording. Times in seconds."""

    video_codec: str
    audio_codec: str
    width: int
    height: int
    video_s: float
    audio_s: float
    steps_back: int
    """Packets whose decoding time is below the one before on the same track."""
    max_video_gap_s: float
    """The largest step from one video frame's time to the next: a hole in the programme."""


def sync_clip(
    path: Path,
    seconds: int = 3,
    size: str = "320x180",
    rate: int = 25,
    audio_rate: int = 44_100,
    noisy: bool = False,
    ffmpeg: str = "ffmpeg",
) -> Path:
    """An H.264/AAC MP4 that flashes and beeps in the first 100 ms of each second; key frames every second.

    `noisy`: dim noise between the flashes, for a file of about 1 MB a second.
    """
    flash = "drawbox=color=white:t=fill:enable='lt(mod(t\\,1)\\,0.1)'"
    beep = "aevalsrc='if(lt(mod(t\\,1)\\,0.1)\\,0.8*sin(2*PI*1000*t)\\,0)'"
    noise = "noise=alls=60:allf=t," if noisy else ""
    video = ["-f", "lavfi", "-i", f"color=black:s={size}:r={rate},{noise}{flash}"]
    audio = ["-f", "lavfi", "-i", f"{beep}:s={audio_rate}"]
    quality = ["-qp", "12"] if noisy else []
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(rate), *quality]
    out = [*x264, "-c:a", "aac", "-b:a", "96k", "-t", str(seconds), "-movflags", "+faststart", str(path)]
    subprocess.run([ffmpeg, "-v", "error", "-nostdin", "-y", *video, *audio, *out], check=True)
    return path


def facts(path: Path) -> Facts:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        stamps: dict[int, list[float]] = {video.index: [], audio.index: []}
        for packet in container.demux(video, audio):
            if packet.dts is not None and packet.time_base is not None:
                stamps[packet.stream_index].append(float(packet.dts * packet.time_base))
        picture, sound = stamps[video.index], stamps[audio.index]
        return Facts(
            video_codec=video.codec_context.name,
            audio_codec=audio.codec_context.name,
            width=video.codec_context.width,
            height=video.codec_context.height,
            video_s=_length(picture),
            audio_s=_length(sound),
            steps_back=sum(1 for track in stamps.values() for a, b in _pairs(track) if b < a),
            max_video_gap_s=max((b - a for a, b in _pairs(picture)), default=0.0),
        )


def skews(path: Path) -> list[float]:
    """Per flash: how much later (s) its beep comes; negative when the sound is early."""
    beeps = list(_beeps(path))
    return [min((beep - flash for beep in beeps), key=abs) for flash in _flashes(path)] if beeps else []


def _flashes(path: Path) -> Iterator[float]:
    with av.open(str(path)) as container:
        dark = True
        for frame in container.decode(video=0):
            bright = _luma(frame) > _BRIGHT
            if bright and dark and frame.time is not None:
                yield frame.time
            dark = not bright


def _luma(frame: av.VideoFrame) -> int:
    small = frame.reformat(width=16, height=16, format="gray")
    return bytes(small.planes[0])[8 * small.planes[0].line_size + 8]


def _beeps(path: Path) -> Iterator[float]:
    """Onsets after at least half a second without one."""
    last = -1.0
    for at, loud in _loud_samples(path):
        if loud and at - last > 0.5:
            yield at
        if loud:
            last = at


def _loud_samples(path: Path) -> Iterator[tuple[float, bool]]:
    with av.open(str(path)) as container:
        resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}
        for frame in container.decode(audio=0):
            if frame.time is None:
                continue
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)  # another one after an item boundary
            if kind not in resamplers:
                resamplers[kind] = av.AudioResampler(format="s16", layout="mono", rate=_SAMPLE_RATE)
            for part in resamplers[kind].resample(frame):
                samples = array.array("h", bytes(part.planes[0])[: part.samples * 2])
                start = part.time if part.time is not None else frame.time
                for index in range(0, len(samples), 16):
                    yield start + index / _SAMPLE_RATE, max(map(abs, samples[index : index + 16])) > _LOUD


def _length(stamps: list[float]) -> float:
    return stamps[-1] - stamps[0] if stamps else 0.0


def _pairs(values: list[float]) -> Iterable[tuple[float, float]]:
    return itertools.pairwise(values)
