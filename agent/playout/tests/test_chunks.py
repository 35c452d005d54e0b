import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout import chunks
from agent.playout.chunks import ChunkDecoder, ChunkError, Message

PAYLOADS = st.binary(max_size=700)
STAMPS = st.integers(0, 2**32 - 1) | st.sampled_from([2**24 - 1, 2**24, 2**31, 2**32 - 1])


def _split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def _feed(pieces: list[bytes]) -> list[Message]:
    decoder = ChunkDecoder()
    return [message for piece in pieces for message in decoder.feed(piece)]


@given(st.lists(st.tuples(st.integers(2, 63), STAMPS, PAYLOADS), max_size=8), st.lists(st.integers(0, 9999)))
def test_messages_come_out_as_they_went_in_however_split(sent: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    messages = [(csid, Message(9, stamp, payload, 1)) for csid, stamp, payload in sent]
    data = b"".join(chunks.absolute(csid, each, chunks.DEFAULT_CHUNK_SIZE) for csid, each in messages)
    assert _feed(_split(data, cuts)) == [each for _, each in messages]


@given(STAMPS, st.lists(st.tuples(st.integers(0, 2**25), PAYLOADS), max_size=6))
def test_relative_messages_follow_the_absolute_one(start: int, steps: list[tuple[int, bytes]]) -> None:
    data = chunks.absolute(6, Message(9, start, b"first", 1), 128)
    expected = [start]
    for delta, payload in steps:
        data += chunks.relative(6, 9, delta, payload, 128)
        expected.append((expected[-1] + delta) & 0xFFFFFFFF)
    got = _feed([data])
    assert [message.timestamp for message in got] == expected
    assert [message.payload for message in got] == [b"first", *(payload for _, payload in steps)]


def test_interleaved_chunk_streams_are_kept_apart() -> None:
    long = chunks.absolute(6, Message(9, 5, b"v" * 200, 1), 128)
    short = chunks.absolute(4, Message(8, 6, b"a" * 10, 1), 128)
    head = 12 + 128
    got = _feed([long[:head] + short + long[head:]])
    assert [(message.type_id, len(message.payload)) for message in got] == [(8, 10), (9, 200)]


def test_a_chunk_stream_may_begin_with_a_relative_header() -> None:
    """PyRTMP answers «connect» so, and FFmpeg bears it."""
    assert _feed([chunks.relative(3, 20, 5, b"x" * 200, 128)]) == [Message(20, 5, b"x" * 200)]


def test_set_chunk_size_holds_from_the_next_chunk_on() -> None:
    data = chunks.absolute(2, Message(1, 0, (4096).to_bytes(4, "big")), 128)
    data += chunks.absolute(3, Message(20, 0, b"x" * 3000), 4096)
    assert len(_feed([data])[1].payload) == 3000


@given(st.lists(st.binary(max_size=400), max_size=8))
def test_any_bytes_decode_or_raise_chunk_error(pieces: list[bytes]) -> None:
    try:
        _feed(pieces)
    except ChunkError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"\x86" + bytes(3),
        b"\xc6",
        chunks.absolute(3, Message(20, 0, b"x" * (chunks.MAX_MESSAGE + 1)), 2**20),
        b"".join(chunks.absolute(csid, Message(20, 0, b"")) for csid in range(3, 50)),
        chunks.absolute(2, Message(1, 0, bytes(4)), 128),
    ],
    ids=["no beginning", "nothing at all", "too long", "too many streams", "chunk size 0"],
)
def test_what_no_server_has_a_reason_to_send_is_refused(data: bytes) -> None:
    with pytest.raises(ChunkError):
        _feed([data])
