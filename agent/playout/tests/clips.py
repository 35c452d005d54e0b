"""Small prepared items, made by a real FFmpeg."""

import functools
import subprocess
import tempfile
from pathlib import Path

_HOME = tempfile.TemporaryDirectory(prefix="playout-clips-")


@functools.cache
def clip(
    name: str = "a",
    *,
    seconds: float = 2,
    size: str = "320x180",
    rate: int = 25,
    sample_rate: int = 48000,
    channels: int = 2,
    gop: int = 25,
    b_frames: int = 0,
    sound: bool = True,
) -> Path:
    """An FLV as the agent prepares it: H.264 and AAC. Made once per kind and test run."""
    wanted = (name, seconds, size, rate, sample_rate, channels, gop, b_frames, sound)
    out = Path(_HOME.name) / ("-".join(str(part) for part in wanted) + ".flv")
    hue = sum(name.encode()) % 360
    video = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds},hue=h={hue}"]
    layout = "mono" if channels == 1 else "stereo"
    tone = f"sine=frequency=440:sample_rate={sample_rate}:duration={seconds},aformat=channel_layouts={layout}"
    audio = ["-f", "lavfi", "-i", tone] if sound else []
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    x264 += ["-g", str(gop), "-bf", str(b_frames)]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *video, *audio, *x264, "-c:a", "aac", "-b:a", "64k"]
    subprocess.run([*command, "-f", "flv", str(out)], check=True)
    return out
