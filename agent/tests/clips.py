"""Small real clips, made once per test session by FFmpeg."""

import subprocess
from functools import cache
from pathlib import Path

VIDEO = ("-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration={seconds}")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100:duration={seconds}")
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-b:a", "96k", "-ac", "2")


def make(path: Path, *, seconds: float = 4, sound: bool = True, video=X264, audio=AAC, more=()) -> Path:
    inputs = [*VIDEO, *(SOUND if sound else ())]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y"]
    command += [part.format(seconds=seconds) for part in inputs]
    command += [*video, *(audio if sound else ()), *more, "-movflags", "+faststart", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return path


@cache
def plain(directory: Path, seconds: float = 4) -> bytes:
    path = directory / f"plain-{seconds}.mp4"
    return make(path, seconds=seconds).read_bytes()
