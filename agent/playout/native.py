"""Destinations pushed by the playout's own RTMP client."""

from typing import ClassVar

from .connect import open_link
from .leg import BaseLeg
from .link import Link
from .packets import Batch, Packet
from .target import Target


class NativeLeg(BaseLeg[Link]):
    """Over RTMP or RTMPS to the platform itself."""

    async def _open(self, target: Target) -> Link:
        return await open_link(target, self._around.tls, reach_private=self._around.plan().reach_private)

    def _put(self, link: Link, batch: Batch) -> None:
        if batch.kinds <= self._joined:
            link.write(batch.joined)
        elif self._joined or self._media_from:
            self._put_singly(link, batch.packets)
        else:
            self._put_singly(link, [*batch.before, *batch.packets])

    def _put_singly(self, link: Link, packets: list[Packet]) -> None:
        stream_id = link.session.stream_id
        for packet in packets:
            if packet.kind in self._joined:
                link.write(packet.relative)
            elif self._joined:
                link.write(packet.absolute(stream_id))
                self._joined |= {packet.kind}
            elif packet.preamble is not None:
                self._media_from = self._media_from or link.sent
                link.write(packet.joining(stream_id))
                self._joined = frozenset({packet.kind})


class NginxLeg(NativeLeg):
    """To nginx on this server, which pushes on: always by loopback, whatever else may be reached."""

    LIVE_REASON: ClassVar[str | None] = "nginx on this server pushes on and does not tell what the platform answers"

    async def _open(self, target: Target) -> Link:
        return await open_link(target, self._around.tls, reach_private=True)
