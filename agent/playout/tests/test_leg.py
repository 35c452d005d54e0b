"""A leg's queue: what is dropped, and how a destination joins again. No network."""

import random
from typing import Any

from agent.playout.chunks import OUR_CHUNK_SIZE, ChunkDecoder, Message
from agent.playout.flv import AUDIO, SCRIPT, VIDEO, Tag
from agent.playout.leg import Surroundings
from agent.playout.native import NativeLeg
from agent.playout.packets import Batch, Packet, Packetiser
from agent.playout.plan import Destination
from agent.playout.target import Secret


class Collecting:
    """In a link's place: keeps what is written, has as much queued as it is told."""

    def __init__(self) -> None:
        self.written = b""
        self.queued = 0
        self.opened = True
        self.acknowledgements = 0
        self.session: Any = type("Session", (), {"stream_id": 1})
        self.over: Any = type("Over", (), {"done": staticmethod(lambda: False)})

    @property
    def sent(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data

    def measure(self) -> tuple[int, int]:
        return self.queued, len(self.written) - self.queued

    def messages(self) -> list[Message]:
        decoder = ChunkDecoder()
        decoder._chunk_size = OUR_CHUNK_SIZE
        return decoder.feed(self.written)


def _leg() -> tuple[NativeLeg, Collecting]:
    around = Surroundings(lambda: None, lambda: None, lambda: None, random.Random(1))  # type: ignore[arg-type,return-value]
    leg, link = NativeLeg(Destination(1, "", "", Secret("k"), True), around), Collecting()
    leg._link = link  # type: ignore[assignment]
    return leg, link


def _second(packetiser: Packetiser, number: int) -> list[Packet]:
    """One second: a key frame, then pictures and sound in turn."""
    packets = []
    for at in range(0, 1000, 100):
        stamp, first = number * 1000 + at, b"\x17" if at == 0 else b"\x27"
        picture = Tag(VIDEO, stamp, first + b"\x01" + number.to_bytes(4, "big"))
        packets.append(packetiser.media(picture, stamp, may_join=at == 0))
        packets.append(packetiser.media(Tag(AUDIO, stamp, b"\xaf\x01a"), stamp + 20, may_join=False))
    return packets


def _packetiser() -> Packetiser:
    packetiser = Packetiser()
    for kind, payload in ((SCRIPT, b"meta"), (AUDIO, b"\xaf\x00\x11"), (VIDEO, b"\x17\x00____")):
        packetiser.header(kind, 0, payload)
    return packetiser


def test_a_late_joiner_begins_with_metadata_headers_and_a_key_frame() -> None:
    leg, link = _leg()
    packetiser = _packetiser()
    leg.send(Batch(_second(packetiser, 0)[5:]), 1000)
    assert link.written == b""
    leg.send(Batch(_second(packetiser, 1)), 1000)
    leg.send(Batch(_second(packetiser, 2)), 1000)
    got = link.messages()
    assert [message.type_id for message in got[:4]] == [SCRIPT, VIDEO, AUDIO, VIDEO]
    assert [message.timestamp for message in got[:5]] == [1000, 1000, 1000, 1000, 1020]
    assert got[-2].timestamp == 2900
    assert got[-1].timestamp == 2920


def test_overflow_drops_to_a_key_frame_and_stamps_stay_true() -> None:
    leg, link = _leg()
    packetiser = _packetiser()
    leg.send(Batch(_second(packetiser, 0)), 1000)
    link.queued = 1001
    leg.check(0.0)
    leg.send(Batch(_second(packetiser, 1)), 1000)
    assert leg.drops == 20
    link.queued = 600
    leg.check(0.1)
    leg.send(Batch(_second(packetiser, 2)), 1000)
    assert leg.drops == 40, "half the queue must be free before it begins again"
    link.queued = 400
    leg.check(0.2)
    leg.send(Batch(_second(packetiser, 3)[7:]), 1000)
    leg.send(Batch(_second(packetiser, 4)), 1000)
    stamps = [message.timestamp for message in link.messages() if message.type_id == VIDEO]
    assert stamps == [0, *range(0, 1000, 100), 4000, *range(4000, 5000, 100)]


def test_live_is_said_when_media_has_arrived_and_taken_back_when_nothing_moves() -> None:
    leg, link = _leg()
    packetiser = _packetiser()
    link.write(b"handshake")
    leg.check(0.0)
    assert leg.state == "connecting"
    leg.send(Batch(_second(packetiser, 0)), 1000)
    link.queued = len(link.written) - 9
    leg.check(0.1)
    assert leg.state == "connecting", "sent is not arrived"
    link.queued = 10
    leg.check(0.2)
    assert leg.state == "live"
    leg.check(4.3)
    assert (leg.state, leg.reason) == ("reconnecting", "the server is taking no data")
    link.queued = 0
    leg.check(4.4)
    assert leg.state == "live"
