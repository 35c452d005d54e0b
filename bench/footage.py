"""The file that is played: prepared as the agent does it, of a constant 3 Mbit/s, 720p at 30 frames a second."""

from __future__ import annotations

import subprocess
from pathlib import Path

KBPS = 3000


def footage(directory: Path, seconds: int = 40) -> Path:
    """An FLV with H.264 (key frames every 2 s) and AAC; noise on a picture, so that no frame is empty."""
    out = directory / "footage.flv"
    video = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={seconds},noise=alls=12:allf=t"]
    audio = ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}"]
    rate = f"{KBPS - 128 - 16}k"
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-b:v", rate]
    x264 += ["-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-x264-params", "nal-hrd=cbr"]
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *video, *audio, *x264]
    subprocess.run([*command, "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-f", "flv", str(out)], check=True)
    return out
