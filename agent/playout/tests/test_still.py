"""The newest key frame as a file FFmpeg can make a picture of."""

import subprocess
from pathlib import Path

from agent.playout import flv, still
from agent.playout.packets import Packetiser
from agent.playout.tests.clips import clip

HEADER = b"\x17\x00\x00\x00\x00avcC"
KEY = b"\x17\x01\x00\x00\x00frame"
BETWEEN = b"\x27\x01\x00\x00\x00frame"


def packets(*payloads: bytes, may_join: bool = True):
    packetiser = Packetiser()
    packetiser.header(flv.VIDEO, 0, HEADER)
    return [packetiser.media(flv.Tag(flv.VIDEO, 0, each), 0, may_join=may_join) for each in payloads]


def test_the_last_key_frame_counts():
    some = packets(KEY, BETWEEN, KEY, BETWEEN)
    assert still.newest_key_frame(some) is some[2]


def test_without_a_key_frame_there_is_none():
    assert still.newest_key_frame(packets(BETWEEN, may_join=False)) is None
    assert still.newest_key_frame([]) is None


def test_the_header_comes_before_the_frame():
    tags = flv.FlvParser().feed(still.as_flv(packets(KEY)[0]))
    assert [tag.payload for tag in tags] == [HEADER, KEY]


def test_ffmpeg_decodes_it(tmp_path: Path):
    data = clip().read_bytes()
    packetiser = Packetiser()
    made = []
    for tag in flv.FlvParser().feed(data):
        if tag.is_codec_header:
            packetiser.header(tag.kind, 0, tag.payload)
        elif tag.kind == flv.VIDEO:
            made.append(packetiser.media(tag, tag.timestamp, may_join=tag.is_key_frame))
    key_frame = still.newest_key_frame(made)
    assert key_frame is not None
    path = tmp_path / "still.flv"
    path.write_bytes(still.as_flv(key_frame))
    shown = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-frames:v", "1", "-f", "image2", "-update", "1", tmp_path / "a.jpg"],
        capture_output=True,
        check=True,
    )
    assert not shown.stderr
    assert (tmp_path / "a.jpg").read_bytes().startswith(b"\xff\xd8")
