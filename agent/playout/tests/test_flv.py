import itertools
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.playout import amf, flv
from agent.playout.flv import AUDIO, SCRIPT, VIDEO, FlvError, FlvParser, Tag
from agent.playout.source import Place, find_start

from .clips import clip

HEAD = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"


def tag_bytes(tag: Tag) -> bytes:
    size, stamp = len(tag.payload), tag.timestamp
    head = bytes((tag.kind,)) + size.to_bytes(3, "big") + (stamp & 0xFFFFFF).to_bytes(3, "big")
    return head + bytes((stamp >> 24, 0, 0, 0)) + tag.payload + (size + 11).to_bytes(4, "big")


TAGS = st.builds(
    Tag,
    st.sampled_from([AUDIO, VIDEO]),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=60).map(b"\x27\x01____".__add__),
    st.just(0),
)


@given(st.lists(TAGS, max_size=10), st.lists(st.integers(0, 999)))
def test_tags_come_out_as_they_went_in_however_split(tags: list[Tag], cuts: list[int]) -> None:
    data = HEAD + b"".join(tag_bytes(tag) for tag in tags)
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    parser = FlvParser()
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    got = [tag for piece in pieces for tag in parser.feed(piece)]
    assert [tag._replace(offset=0) for tag in got] == tags
    assert all(data[tag.offset :].startswith(tag_bytes(tag)) for tag in got)


@given(st.lists(st.binary(max_size=200), max_size=6), st.booleans())
def test_any_bytes_parse_or_raise_flv_error(pieces: list[bytes], in_body: bool) -> None:
    parser = FlvParser(0 if in_body else None)
    try:
        for piece in pieces:
            parser.feed(piece)
    except FlvError:
        return


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_a_damaged_clip_gives_good_tags_then_flv_error_at_worst(seed: int, flips: int) -> None:
    whole = clip("a").read_bytes()
    good = FlvParser().feed(whole)
    rng, data = random.Random(seed), bytearray(whole)
    for _ in range(flips):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    parser = FlvParser()
    try:
        got = parser.feed(bytes(data))
        parser.feed(b"")
    except FlvError:
        return
    assert len(got) <= len(good)


def test_a_frame_larger_than_servers_take_is_the_end_of_the_file() -> None:
    """Sent, it would cost the connection: what is too large is said, what is only damaged there is not called so."""
    small, most = Tag(VIDEO, 0, b"\x17\x01____"), Tag(VIDEO, 40, b"\x17\x01".ljust(flv.LARGEST, b"_"))
    parser = FlvParser()
    assert len(parser.feed(HEAD + tag_bytes(small) + tag_bytes(most))) == 2
    over = tag_bytes(most._replace(payload=most.payload + b"_"))
    with pytest.raises(FlvError, match="a picture is larger than servers take"):
        parser.feed(over)
    with pytest.raises(FlvError, match="damaged at byte"):
        FlvParser().feed(HEAD + over[:-1] + b"_")


def test_a_cut_file_gives_all_whole_tags() -> None:
    whole = clip("a").read_bytes()
    all_tags = FlvParser().feed(whole)
    cut = FlvParser().feed(whole[: len(whole) * 2 // 3])
    assert cut == all_tags[: len(cut)]
    assert len(cut) > len(all_tags) // 2


@pytest.mark.parametrize(
    ("kind", "payload", "sent"),
    [
        (AUDIO, b"\xaf\x00", False),
        (AUDIO, b"\xaf\x00\x11\x90", True),
        (AUDIO, b"\xaf\x01", False),
        (VIDEO, b"\x17\x02\x00\x00\x00", False),
        (VIDEO, b"\x17\x00\x00\x00\x00\x01", True),
        (VIDEO, b"", False),
        (SCRIPT, b"\x02", True),
    ],
)
def test_what_is_sent_on(kind: int, payload: bytes, sent: bool) -> None:
    assert flv.is_playable(kind, payload) is sent


def test_metadata_tells_the_stream_and_not_the_file() -> None:
    facts = amf.EcmaArray(width=320.0, duration=12.0, filesize=9.0, keyframes={"times": [0.0]})
    sent = flv.live_metadata(amf.encode("onMetaData", facts))
    assert sent is not None
    assert amf.decode(sent) == ["@setDataFrame", "onMetaData", {"width": 320.0}]
    assert flv.live_metadata(b"\xff\x00") is None
    assert flv.live_metadata(amf.encode("onCuePoint", facts)) is None


@pytest.mark.parametrize(("wanted_ms", "frame"), [(900, 0), (1000, 0), (1030, 1), (2700, 2), (99_000, 2)])
@pytest.mark.parametrize("near", ["", "a key frame", "no key frame", "nowhere"])
def test_the_key_frame_before_a_position_is_found(wanted_ms: int, frame: int, near: str) -> None:
    path = clip("long", seconds=3)
    whole = FlvParser().feed(path.read_bytes())
    key_frames = [tag for tag in whole if tag.is_key_frame]
    offset = {"": 0, "a key frame": key_frames[min(frame, 1)].offset, "no key frame": whole[-1].offset}.get(near, 10**9)
    start = find_start(str(path), Place(wanted_ms, offset))
    wanted = key_frames[frame]
    tags = FlvParser(start.offset).feed(path.read_bytes()[start.offset :])
    media = [tag for tag in tags if tag.kind != SCRIPT and not tag.is_codec_header]
    assert media[0] == wanted
    assert start.position_ms == wanted.timestamp
    assert {tag.kind for tag in [*start.headers, *tags] if tag.is_codec_header} == {AUDIO, VIDEO}


def test_a_file_that_is_no_flv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.flv").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(FlvError, match="not an FLV"):
        find_start(str(tmp_path / "x.flv"), Place())
