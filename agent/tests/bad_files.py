"""Files as bad as people have them, made by a real FFmpeg or by damage to what it made."""

import random
import subprocess
from pathlib import Path

from agent.tests.clips import AAC, X264, make

BIG = ("-f", "lavfi", "-i", "testsrc2=size=7680x4320:rate=25:duration=0.08")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:frame-threads=1:pools=1")


def all_of_them(home: Path) -> dict[str, bytes]:
    """By name."""
    whole = make(home / "whole.mp4", seconds=3).read_bytes()
    index_last = _run(home / "last.mp4", "-i", str(home / "whole.mp4"), "-c", "copy")
    sound = ("-f", "lavfi", "-i", "sine=duration=2", *AAC)
    return {
        "truncated": whole[: len(whole) * 2 // 3],
        "nothing but zeros": bytes(100_000),
        "no index": index_last[: len(index_last) * 2 // 3],
        "flipped bits": flipped(whole, len(whole) // 3, len(whole) * 2 // 3, 40),
        "flipped index": flipped(whole, 200, 2000, 40),
        "sound only": _run(home / "sound.mp4", *sound),
        "HEVC": make(home / "hevc.mp4", seconds=1, video=(*HEVC, "-tag:v", "hvc1")).read_bytes(),
        "10 bit": make(home / "10.mp4", seconds=1, video=(*H264[:-1], "yuv420p10le")).read_bytes(),
        "120 fps": _run(home / "120.mp4", *_picture("320x180", 120, 1), *H264, *AAC),
        "8K": _run(home / "8k.mp4", *BIG, *H264),
        "8K HEVC": _run(home / "8k-hevc.mp4", *BIG, *HEVC, "-pix_fmt", "yuv420p"),
        "one frame": _run(home / "frame.mp4", *_picture("320x180", 25, 1), *X264, *AAC, "-t", "0.04"),
        "one frame, no sound": _run(home / "mute.mp4", *_picture("320x180", 25, 1)[:4], *X264, "-t", "0.04"),
        "times that jump ahead": _jumping(home),
        "times that jump back": _again_and_again(home),
    }


def flipped(data: bytes, start: int, end: int, count: int) -> bytes:
    """`count` bits between the two places, always the same."""
    rng, damaged = random.Random(7), bytearray(data)
    for _ in range(count):
        damaged[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _picture(size: str, rate: int, seconds: float) -> tuple[str, ...]:
    video = f"testsrc2=size={size}:rate={rate}:duration={seconds}"
    return ("-f", "lavfi", "-i", video, "-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=44100:duration={seconds}")


def _jumping(home: Path) -> bytes:
    """By an hour and a half, after a second."""
    jump = "setts=ts='if(gte(TS*TB,1),TS+5000/TB,TS)'"
    return _run(home / "jump.mkv", "-i", str(home / "whole.mp4"), "-c", "copy", "-bsf:v", jump, "-bsf:a", jump)


def _again_and_again(home: Path) -> bytes:
    """Two recordings one behind the other, as a camera's splitter leaves them: the second begins at 0 again."""
    return _run(home / "part.ts", "-i", str(home / "whole.mp4"), "-c", "copy", "-t", "2") * 2


def _run(out: Path, *arguments: str) -> bytes:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, str(out)]
    subprocess.run(command, check=True, timeout=120)
    return out.read_bytes()
