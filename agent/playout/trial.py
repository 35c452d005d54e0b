"""A trial run against one destination: a real session, no media, goodbye. It always answers within ten seconds."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from . import flv, flvout
from .carrier import Carrier
from .connect import Limits, open_link, trusting
from .ffmpeg_pipe import FfmpegPipe, Program, start_ffmpeg
from .link import Closed, Misconfigured
from .plan import Destination
from .rtmp import Phase, Refused, RtmpError, Temporary
from .target import Target, TargetError, parse_target

LIMITS: Final = Limits(connect_s=3.0, answer_s=3.0)
LIMIT_S: Final = 6.5
"""Until the stream is accepted, redirects and all. What comes after takes at most SETTLE_S and a program's end."""
SETTLE_S: Final = 0.5
"""Some servers accept any key and close a moment later."""
_SILENT_SOUND: Final = flvout.HEAD[:4] + b"\x04" + flvout.HEAD[5:] + flvout.tag(flv.AUDIO, 0, b"\xaf\x00\x12\x10")
"""An FLV of nothing but the codec header FFmpeg must see before it connects: AAC, 44.1 kHz, stereo."""

State = Literal["ok", "refused", "failed", "unreachable"]


@dataclass(frozen=True, slots=True)
class Trial:
    """`refused`: the server does not want the key or application; `failed`: somebody must change something."""

    state: State
    message: str
    took_ms: int


async def trial(destination: Destination, *, ca_file: str | None, reach_private: bool, ffmpeg: str) -> Trial:
    """Through FFmpeg where the destination is pushed by FFmpeg, else with our own client."""
    began = time.monotonic()
    try:
        target = parse_target(destination.url, destination.key.reveal())
        if destination.via == "ffmpeg":
            with tempfile.TemporaryDirectory(prefix="trial-") as directory:
                await _with_ffmpeg(target, Program(ffmpeg, Path(directory), ca_file, reach_private))
        else:
            await _natively(target, ca_file, reach_private)
        state, message = _ACCEPTED
    except TargetError as error:
        state, message = "failed", str(error)
    except RtmpError as error:
        state, message = _state_of(error), str(error)
    return Trial(state, message, round((time.monotonic() - began) * 1000))


_ACCEPTED: Final[tuple[State, str]] = ("ok", "the server accepted the stream")


def _state_of(error: RtmpError) -> State:
    if isinstance(error, Refused):
        return "refused"
    if isinstance(error, Misconfigured):
        return "failed"
    turned_away = isinstance(error, Closed) and error.phase in (Phase.CONNECT, Phase.PUBLISH, Phase.PUBLISHED)
    return "refused" if turned_away else "unreachable"


async def _natively(target: Target, ca_file: str | None, reach_private: bool) -> None:
    try:
        async with asyncio.timeout(LIMIT_S):
            link = await open_link(target, lambda: trusting(ca_file), reach_private=reach_private, limits=LIMITS)
    except TimeoutError as error:
        raise _no_end() from error
    await _settle(link)


async def _with_ffmpeg(target: Target, program: Program) -> None:
    pipe: FfmpegPipe | None = None
    try:
        async with asyncio.timeout(LIMIT_S):
            pipe = await start_ffmpeg(target, program, 0)
            pipe.write(_SILENT_SOUND)
            pipe.finish()
            await _opened(pipe)
        await _settle(pipe)
    except TimeoutError as error:
        raise Temporary(pipe.silence(LIMIT_S)) if pipe is not None else _no_end() from error
    except Temporary:
        if pipe is None or not (pipe.opened and pipe.ended_well):
            raise
    finally:
        if pipe is not None:
            await pipe.kill()


async def _opened(pipe: FfmpegPipe) -> None:
    while not pipe.opened and not pipe.over.done():  # noqa: ASYNC110 - FFmpeg tells it in the midst of other things
        await asyncio.sleep(0.02)
    if not pipe.opened:
        raise pipe.over.result()


async def _settle(link: Carrier) -> None:
    await asyncio.wait({link.over}, timeout=SETTLE_S)
    if link.over.done():
        raise link.over.result()
    await link.leave()


def _no_end() -> RtmpError:
    return Temporary(f"the server was not done within {LIMIT_S:.1f} s")
