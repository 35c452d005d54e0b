"""A server that sends anything, in any order, in any pieces: the session ends with a reason or goes on, and neither
grows nor takes the time of others.
"""

import asyncio
import itertools
import random
import socket
import struct
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.playout import amf, chunks
from agent.playout.chunks import MAX_CHUNK_STREAMS, MAX_MESSAGE, Message
from agent.playout.connect import Limits, open_link, trusting
from agent.playout.rtmp import HANDSHAKE_SIZE, NONCE_SIZE, RtmpError, Session
from agent.playout.target import parse_target

from .servers import tcp_server
from .test_rtmp import CONNECTED, CREATED, S0S1S2, STARTED, TARGET, command, control, status

_PIECE = 4096
"""As much as a link reads at a time."""
NAMES = st.sampled_from(["_result", "_error", "onStatus", "close", "onBWDone", "_checkbw", "onFCPublish", ""])
CODES = st.sampled_from(["NetStream.Publish.Start", "NetStream.Publish.BadName", "NetConnection.Connect.Rejected", "x"])
LEAVES = st.none() | st.booleans() | st.floats() | st.text(max_size=20)
VALUES: st.SearchStrategy[amf.Value] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | CODES, inner, max_size=4),
    max_leaves=12,
)
INFOS = st.fixed_dictionaries(
    {"level": st.sampled_from(["status", "error", 5]), "code": CODES | VALUES},
    optional={"description": VALUES, "ex": VALUES, "redirect": VALUES},
)


def _nested(depth: int) -> bytes:
    return b"\x0a\0\0\0\1" * depth + b"\5"


COMMANDS = st.one_of(
    st.tuples(NAMES, st.integers(0, 9), INFOS).map(lambda each: command(each[0], each[1], None, each[2])),
    st.lists(VALUES, max_size=5).map(lambda values: command(*values)),
    st.integers(1, 4000).map(lambda depth: control(20, _nested(min(depth, 20))) + command("_result")),
)
CONTROLS = st.tuples(st.integers(0, 30), st.binary(max_size=120)).map(lambda each: control(*each))
WINDOWS = st.integers(0, 2**32 - 1).map(lambda size: control(5, struct.pack(">I", size)))
CHUNK_SIZES = st.sampled_from([1, 2, 128, 4096, 2**31 - 1]).map(lambda size: control(1, struct.pack(">I", size)))
HEADERS = st.tuples(
    st.integers(0, 63), st.integers(0, 2**24 - 1), st.sampled_from([0, 1, 127, MAX_MESSAGE, MAX_MESSAGE + 1, 2**24 - 1])
).map(lambda each: bytes((each[0],)) + each[1].to_bytes(3, "big") + each[2].to_bytes(3, "big") + b"\x14\1\0\0\0")
HONEST = st.sampled_from([CONNECTED, CREATED, STARTED, status("NetStream.Publish.BadName", "error")])
ANYTHING = COMMANDS | CONTROLS | WINDOWS | CHUNK_SIZES | HEADERS | HONEST | st.binary(max_size=300)


def _kept(session: Session) -> int:
    """Bytes of the server's that the session holds."""
    decoder = session._decoder
    partial = sum(len(stream.payload) for stream in decoder._streams.values())
    return len(session._in) + len(decoder._buffer) + partial


def _hear(session: Session, data: bytes, cuts: list[int]) -> None:
    """All of it, cut anywhere, or until the session has had enough; what is kept and answered stays bounded."""
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in itertools.pairwise(edges):
        for at in range(start, end, _PIECE):
            session.receive(data[at : min(end, at + _PIECE)])
            assert _kept(session) <= MAX_MESSAGE * (MAX_CHUNK_STREAMS + 1) + 2 * _PIECE
            assert len(session.take_output()) <= 4 * _PIECE + HANDSHAKE_SIZE


def _end_of(session: Session, data: bytes, cuts: list[int]) -> str | None:
    """Why the session ended; None when it goes on."""
    try:
        _hear(session, data, cuts)
    except RtmpError as error:
        return str(error)
    return None


@given(st.lists(ANYTHING, max_size=20), st.lists(st.integers(0, 99999), max_size=20))
@settings(max_examples=300)
def test_after_the_handshake_anything_may_come(pieces: list[bytes], cuts: list[int]) -> None:
    reason = _end_of(Session(TARGET, bytes(NONCE_SIZE)), S0S1S2 + b"".join(pieces), cuts)
    assert reason is None or 0 < len(reason) < 400
    assert "abc-secret" not in (reason or "")


@given(st.binary(max_size=5000), st.lists(st.integers(0, 9999), max_size=20))
def test_before_it_too(data: bytes, cuts: list[int]) -> None:
    assert _end_of(Session(TARGET, bytes(NONCE_SIZE)), data, cuts) != ""


@given(st.permutations([CONNECTED, CREATED, STARTED, CONNECTED, command("close", 0, None)]))
def test_answers_in_any_order_end_it_or_leave_it_waiting(answers: list[bytes]) -> None:
    reason = _end_of(Session(TARGET, bytes(NONCE_SIZE)), S0S1S2 + b"".join(answers), [])
    assert reason == "the server ended the session"


@pytest.mark.parametrize("csids", [1, MAX_CHUNK_STREAMS - 1], ids=["one", "all"])
def test_chunk_streams_that_never_end_fill_up_to_a_bound(csids: int) -> None:
    """Every message begun, none completed: at most one longest message each is kept."""
    session = Session(TARGET, bytes(NONCE_SIZE))
    session.receive(S0S1S2)
    head = MAX_MESSAGE.to_bytes(3, "big") + b"\x14\1\0\0\0"
    for csid in range(3, 3 + csids):
        begun = bytes((csid, 0, 0, 0)) + head + bytes(128)
        more = (bytes((0xC0 | csid,)) + bytes(128)) * ((MAX_MESSAGE // 128) - 2)
        _hear(session, begun + more, [])
    assert _kept(session) <= csids * MAX_MESSAGE


def test_amf_nested_for_ever_is_refused() -> None:
    session = Session(TARGET, bytes(NONCE_SIZE))
    with pytest.raises(RtmpError, match="nested"):
        session.receive(S0S1S2 + chunks.absolute(3, Message(20, 0, _nested(3000)), 128))


@pytest.mark.parametrize(
    "piece",
    [
        chunks.absolute(3, Message(20, 0, b""), 128)[:12] + b"\xc3" * (_PIECE - 12),
        control(1, b"\0\0\0\1") + control(5, b"\0\0\0\1") * 200,
        control(4, struct.pack(">HI", 6, 1)) * 227,
        chunks.absolute(3, Message(20, 0, b"\5" * 4000), 4096),
    ],
    ids=["empty messages", "windows", "pings", "nulls"],
)
def test_no_piece_takes_long(piece: bytes) -> None:
    """A link reads so little at a time that even the worst of it is a fraction of a tick."""
    session = Session(TARGET, bytes(NONCE_SIZE))
    session.receive(S0S1S2 + control(1, (4096).to_bytes(4, "big")))
    began = time.process_time()
    for _ in range(5):
        try:
            session.receive(piece[:_PIECE])
        except RtmpError:
            break
    assert (time.process_time() - began) / 5 < 0.1


def _random_server(seed: int) -> Callable[[socket.socket], None]:
    """Honest for a while, then not."""
    rng = random.Random(seed)
    honest = [S0S1S2, CONNECTED, CREATED, STARTED][: rng.randint(0, 4)]
    junk = [rng.randbytes(rng.choice([1, 50, 5000])) for _ in range(20)]
    said = honest + [each for each in junk for _ in range(rng.choice([1, 40]))]

    def serve(connection: socket.socket) -> None:
        data = b"".join(said)
        while data:
            count = rng.randint(1, 9000)
            connection.sendall(data[:count])
            data = data[count:]

    return serve


def _session_with(port: int) -> str:
    """How a link to this port ends, if it does."""

    async def attempt() -> str:
        target = parse_target(f"rtmp://127.0.0.1:{port}/live", "abc-secret")
        limits = Limits(2.0, 2.0)
        try:
            link = await open_link(target, lambda: trusting(None), reach_private=True, limits=limits)
            reason = await asyncio.wait_for(link.over, 10)
        except RtmpError as error:
            return str(error)
        return str(reason)

    return asyncio.run(attempt())


@pytest.mark.parametrize("seed", range(12))
def test_a_link_to_such_a_server_ends_with_a_reason(seed: int) -> None:
    with tcp_server(_random_server(seed)) as port:
        reason = _session_with(port)
    assert reason
    assert "abc-secret" not in reason


def test_a_server_that_talks_without_end_is_left() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(S0S1S2 + CONNECTED + CREATED + STARTED)
        while True:
            connection.sendall(control(4, struct.pack(">HI", 6, 1)) * 200)

    with tcp_server(serve) as port:
        assert "far more" in _session_with(port)
