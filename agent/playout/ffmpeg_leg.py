"""Destinations pushed by an FFmpeg of their own, for a platform that refuses our client."""

from typing import Final

from . import flvout
from .ffmpeg_pipe import FfmpegPipe, Program, start_ffmpeg
from .leg import BaseLeg
from .packets import Batch
from .target import Target

RENEW_MS: Final = 20 * 24 * 3600 * 1000
"""FFmpeg's timestamps begin again at 0 after 24.8 days: before that it is let go, and a new one counts from 0."""


class FfmpegLeg(BaseLeg[FfmpegPipe]):
    _attempts = 0
    _began_at = 0

    async def _open(self, target: Target) -> FfmpegPipe:
        plan = self._around.plan()
        program = Program(plan.ffmpeg, self._around.run_dir, plan.ca_file, plan.reach_private)
        self._attempts += 1
        return await start_ffmpeg(target, program, self._attempts - 1)

    def _put(self, link: FfmpegPipe, batch: Batch) -> None:
        packets = batch.packets
        if not self._joined:
            packets = packets if self._media_from else [*batch.before, *packets]
            first = next((at for at, packet in enumerate(packets) if packet.preamble is not None), len(packets))
            packets = packets[first:]
            if packets:
                self._begin(link, packets[0].timestamp, flvout.preamble(packets[0]))
        if packets and packets[0].timestamp - self._began_at > RENEW_MS:
            link.finish()
        elif self._joined:
            link.write(flvout.tags(packets))

    def _begin(self, link: FfmpegPipe, timestamp: int, preamble: bytes) -> None:
        """Once per FFmpeg as a file begins, later as after a gap."""
        if not self._media_from:
            preamble = flvout.HEAD + preamble
            self._media_from = len(preamble)
            self._began_at = timestamp
        self._joined = frozenset({0})
        link.write(preamble)
