"""A leg's queue: what is dropped, and how a destination joins again. No network."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from agent.playout.chunks import OUR_CHUNK_SIZE, ChunkDecoder, Message
from agent.playout.ffmpeg_leg import RENEW_MS, FfmpegLeg
from agent.playout.flv import AUDIO, SCRIPT, VIDEO, Tag, read_tag_head
from agent.playout.leg import Surroundings
from agent.playout.legs import make_leg
from agent.playout.native import NativeLeg, NginxLeg
from agent.playout.packets import Batch, Packet, Packetiser
from agent.playout.plan import Destination, Via
from agent.playout.signs import Signs
from agent.playout.target import Secret

FIRST: Any = SimpleNamespace(epoch=1)
"""The plan of a run that was never moved."""


class Collecting:
    """In a link's place: keeps what is written, has as much queued as it is told."""

    def __init__(self) -> None:
        self.written = b""
        self.queued = 0
        self.opened = True
        self.acknowledgements = 0
        self.ended: list[Any] = []
        self.session: Any = type("Session", (), {"stream_id": 1})
        self.over: Any = type("Over", (), {"done": staticmethod(lambda: False)})

    @property
    def sent(self) -> int:
        return len(self.written)

    def write(self, data: bytes) -> None:
        self.written += data

    def measure(self) -> tuple[int, int]:
        return self.queued, len(self.written) - self.queued

    def abort(self, reason: Any) -> None:
        self.ended.append(reason)

    def messages(self) -> list[Message]:
        decoder = ChunkDecoder()
        decoder._chunk_size = OUR_CHUNK_SIZE
        return decoder.feed(self.written)


def _leg() -> tuple[NativeLeg, Collecting]:
    around = Surroundings(lambda: None, lambda: None, lambda: FIRST, random.Random(1))  # type: ignore[arg-type,return-value]
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


WINDOW = 400_000


class Acknowledging:
    """A leg with 200 kB a second, all of which arrives; the server acknowledges by the window until told to stop."""

    def __init__(self) -> None:
        self.leg, self.link = _leg()
        self.stopped = False
        self.now = 1000.0
        self._packetiser = _packetiser()
        self.welcome()

    def welcome(self) -> None:
        """A new connection."""
        self.link.written, self.link.acknowledgements, self.link.ended = b"handshake", 0, []
        self.leg._welcome(self.link)  # type: ignore[arg-type]
        self.leg._signs = Signs(self.now, heed=self.leg._signs._heed)

    def seconds(self, count: int) -> list[str]:
        """The state after each."""
        states = []
        for _ in range(count):
            self.now += 1
            frame = Tag(VIDEO, int(self.now * 1000), b"\x17\x01" + bytes(200_000))
            packet = self._packetiser.media(frame, frame.timestamp, may_join=True)
            self.leg.send(Batch([packet]), 10**6)
            if not self.stopped:
                self.link.acknowledgements = len(self.link.written) // WINDOW
            self.leg.check(self.now)
            states.append(self.leg.state)
        return states


def test_acknowledgements_that_stop_while_tcp_goes_on_are_not_called_live_for_ever() -> None:
    server = Acknowledging()
    assert set(server.seconds(20)) == {"live"}
    server.stopped = True
    states = server.seconds(30)
    assert states.index("reconnecting") in range(5, 9), "three windows of two seconds are waited for"
    assert server.leg.reason == "the server no longer acknowledges what it is sent"
    assert [str(reason) for reason in server.link.ended][:1] == ["the server no longer acknowledged what it was sent"]
    server.stopped = False
    assert server.seconds(3)[-1] == "live", "who acknowledges again in time is live again"


def test_a_server_that_stops_acknowledging_time_and_again_is_judged_by_tcp_and_that_is_said() -> None:
    server = Acknowledging()
    for _ in range(2):
        server.stopped = False
        server.seconds(20)
        server.stopped = True
        server.seconds(30)
        server.leg._after(server.link.ended[0])
        server.welcome()
    server.stopped = False
    server.seconds(20)
    server.stopped = True
    assert set(server.seconds(60)) == {"live"}
    assert server.link.ended == []
    assert "stops acknowledging" in (server.leg.reason or "")


def test_lag_is_the_queue_measured_by_the_stream() -> None:
    server = Acknowledging()
    server.seconds(20)
    assert server.leg.status(server.now)["lag_ms"] == 0
    server.link.queued = 300_000
    server.seconds(1)
    assert server.leg.status(server.now)["lag_ms"] == pytest.approx(1500, rel=0.2)


def test_nginx_on_this_server_is_never_simply_live() -> None:
    around = Surroundings(lambda: None, lambda: None, lambda: FIRST, random.Random(1))  # type: ignore[arg-type,return-value]
    destination = Destination(1, "", "", Secret("k"), True, "nginx")
    leg = make_leg(destination, around)
    assert type(leg) is NginxLeg
    leg._go_live()
    assert (leg.state, leg.reason) == ("live", NginxLeg.LIVE_REASON)


@pytest.mark.parametrize(("via", "kind"), [("native", NativeLeg), ("ffmpeg", FfmpegLeg), ("nginx", NginxLeg)])
def test_the_way_to_push_makes_the_leg(via: Via, kind: type) -> None:
    around = Surroundings(lambda: None, lambda: None, lambda: FIRST, random.Random(1))  # type: ignore[arg-type,return-value]
    assert type(make_leg(Destination(1, "", "", Secret("k"), True, via), around)) is kind


class Feeding(Collecting):
    """In an FFmpeg's place."""

    finished = False

    def finish(self) -> None:
        self.finished = True


def _fed() -> tuple[FfmpegLeg, Feeding]:
    around = Surroundings(lambda: None, lambda: None, lambda: FIRST, random.Random(1))  # type: ignore[arg-type,return-value]
    leg, link = FfmpegLeg(Destination(1, "", "", Secret("k"), True, "ffmpeg"), around), Feeding()
    leg._link = link  # type: ignore[assignment]
    return leg, link


def test_ffmpeg_is_fed_one_flv_that_begins_with_headers_and_a_key_frame() -> None:
    leg, link = _fed()
    packetiser = _packetiser()
    leg.send(Batch(_second(packetiser, 0)[5:]), 1000)
    assert link.written == b""
    leg.send(Batch(_second(packetiser, 1)), 1000)
    leg.rejoin()
    leg.send(Batch(_second(packetiser, 2)), 1000)
    assert link.written.count(b"FLV\x01") == 1
    heads = _tags(link.written)
    assert heads[:4] == [(SCRIPT, 1000), (VIDEO, 1000), (AUDIO, 1000), (VIDEO, 1000)]
    assert heads[23:27] == [(SCRIPT, 2000), (VIDEO, 2000), (AUDIO, 2000), (VIDEO, 2000)], "again after a gap"


def _tags(data: bytes) -> list[tuple[int, int]]:
    """(kind, timestamp) of each."""
    found, at = [], 13
    while at < len(data):
        head = read_tag_head(data, at)
        found.append((head.kind, head.timestamp))
        at += 11 + head.size + 4
    return found


def test_ffmpeg_is_renewed_before_its_timestamps_begin_again() -> None:
    leg, link = _fed()
    packetiser = _packetiser()
    week = 7 * 24 * 3600
    for weeks in range(3):
        leg.send(Batch(_second(packetiser, weeks * week)), 1000)
        assert link.finished is (weeks * week * 1000 > RENEW_MS)
    leg.send(Batch(_second(packetiser, 3 * week)), 1000)
    assert link.finished
