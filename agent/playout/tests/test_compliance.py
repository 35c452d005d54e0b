"""What our client puts on the wire, laid beside what FFmpeg's own does; and servers that share no line of code."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.playout.flv import AUDIO, VIDEO
from lab.processes import wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, ffmpeg_listener, pyrtmp_server
from .wire import DATA, SET_CHUNK_SIZE, Conversation, Heard, recording_server

KEY = "key?token=a=b"
WINDOW_ACK_SIZE = 5


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Conversation, Conversation]]:
    """(ours, FFmpeg's): the same file to the same server, from the first byte to goodbye."""
    source = clip()
    with recording_server() as (url, talks):
        command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-i", str(source), "-c", "copy", "-f", "flv"]
        subprocess.run([*command, "-flvflags", "no_duration_filesize", f"{url}/{KEY}"], check=True)
        wait_until(lambda: talks[0].left, "FFmpeg's goodbye")
        place = destination(1, url, KEY)
        with RunningPlayout(tmp_path_factory.mktemp("run"), items(source), [place], loop=False) as playout:
            assert playout.exit()["reason"] == "finished"
        wait_until(lambda: len(talks) == 2 and talks[1].left, "our goodbye")
        yield talks[1], talks[0]


def _shape(heard: Heard) -> list[object]:
    """What of a command must be the same: all but the URL, which has another port, and the version."""
    values = heard.values
    facts = [{**each, "flashVer": _version(each["flashVer"])} if isinstance(each, dict) else each for each in values]
    return [heard.csid, heard.type_id, heard.stream_id, *facts]


def _version(text: object) -> str:
    return re.sub(r"; [^)]+\)", "; …)", str(text))


def test_the_commands_their_order_fields_and_chunk_streams_are_the_same(
    said: tuple[Conversation, Conversation],
) -> None:
    ours, theirs = said
    assert [_shape(each) for each in ours.commands()] == [_shape(each) for each in theirs.commands()]
    names = [each.name for each in ours.commands()]
    assert names[:5] == ["connect", "releaseStream", "FCPublish", "createStream", "publish"]
    assert names[5:] == ["FCUnpublish", "deleteStream"]
    assert ours.command("connect").values[2]["flashVer"].startswith("FMLE/3.0 (compatible; ")


def test_the_greeting_is_of_the_same_kind(said: tuple[Conversation, Conversation]) -> None:
    for talk in said:
        assert talk.greeting[:5] == b"\x03\0\0\0\0"
        assert len(set(talk.greeting[9:])) > 100, "filled at random"


def test_connect_comes_before_set_chunk_size_and_both_use_the_same(said: tuple[Conversation, Conversation]) -> None:
    for talk in said:
        kinds = [each.name for each in talk.heard if each.type_id != WINDOW_ACK_SIZE][:3]
        assert kinds == ["connect", str(SET_CHUNK_SIZE), "releaseStream"]
        assert talk.command("connect").chunks > 1, "in chunks of 128 bytes"
        assert talk.chunk_size == 4096
    assert {each.csid for each in said[0].heard if each.type_id in (SET_CHUNK_SIZE, WINDOW_ACK_SIZE)} == {2}


def test_only_one_message_is_more_than_ffmpeg_sends(said: tuple[Conversation, Conversation]) -> None:
    """The Window Acknowledgement Size, which makes servers acknowledge."""
    ours, theirs = said
    assert _kinds(ours) - _kinds(theirs) == {WINDOW_ACK_SIZE}
    assert _kinds(theirs) <= _kinds(ours)


def _kinds(talk: Conversation) -> set[int]:
    return {each.type_id for each in talk.heard}


def test_metadata_and_codec_headers_come_before_media(said: tuple[Conversation, Conversation]) -> None:
    for talk in said:
        at = talk.heard.index(talk.command("publish"))
        data, picture, sound = talk.heard[at + 1 : at + 4]
        assert (data.type_id, data.values[:2]) == (DATA, ["@setDataFrame", "onMetaData"])
        assert data.payload[len(b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData")] == 8, "an ECMA array"
        assert (picture.type_id, picture.payload[:2]) == (VIDEO, b"\x17\0")
        assert (sound.type_id, sound.payload[:2]) == (AUDIO, b"\xaf\0")
        assert {each.stream_id for each in (data, picture, sound)} == {1}
        assert {each.header for each in (picture, sound)} == {0}
    ours, theirs = (next(each for each in talk.heard if each.type_id == DATA).values[2] for talk in said)
    assert ours == theirs


def test_media_use_the_same_chunk_streams_and_headers(said: tuple[Conversation, Conversation]) -> None:
    ours, theirs = ([each for each in talk.media() if each.payload[1] == 1] for talk in said)
    for kind in (AUDIO, VIDEO):
        one, other = ([each for each in media if each.type_id == kind] for media in (ours, theirs))
        assert {each.csid for each in one} == {each.csid for each in other}
        assert {each.payload for each in one} <= {each.payload for each in other}
        assert [each.stamp for each in one][-30:] == [each.stamp for each in other][-30:], "the steps of time"
        assert max(each.chunks for each in one) == max(each.chunks for each in other)


def test_twenty_seconds_and_their_boundaries_are_taken_by_servers_of_four_kinds(tmp_path: Path) -> None:
    """nginx-rtmp, FFmpeg's listener and PyRTMP from our client; nginx-rtmp and PyRTMP from FFmpeg too."""
    files = [clip("a", seconds=8), clip("b", seconds=7, size="640x360"), clip("c", seconds=6, sample_rate=44100)]
    recorded, run = tmp_path / "recorded", tmp_path / "run"
    recorded.mkdir()
    run.mkdir()
    with ExitStack() as stack:
        nginx = stack.enter_context(NginxRtmp())
        other = stack.enter_context(pyrtmp_server(recorded))
        listener = stack.enter_context(ffmpeg_listener(recorded / "listener.flv"))
        places = [destination(1, nginx.url, "native"), destination(2, other, "native")]
        places += [destination(3, nginx.url, "ffmpeg", via="ffmpeg"), destination(4, other, "ffmpeg", via="ffmpeg")]
        places += [destination(5, listener, "key")]
        with RunningPlayout(run, items(*files), places, loop=False) as playout:
            for place in places:
                playout.wait_for_state(place["id"], "live")
            end = playout.exit(40)["status"]
        assert [(each["reconnects"], each["drops"]) for each in end["destinations"]] == [(0, 0)] * 5
        taken = [recorded / "native.flv", recorded / "ffmpeg.flv"]
        taken += [file for key in ("native", "ffmpeg") for file in nginx.recordings_of(key)]
        wait_until(lambda: all(_seconds(file) > 20 for file in taken), "the recordings being written")
        for file in taken:
            _sound_and_whole(file)
    assert _seconds(recorded / "listener.flv") > 20


def _seconds(file: Path) -> float:
    stamps = recordings.read(file).stamps(VIDEO)
    return (stamps[-1] - stamps[0]) / 1000 if stamps else 0.0


def _sound_and_whole(file: Path) -> None:
    got = recordings.read(file)
    headers = [tag for tag in got.tags if tag.is_codec_header and tag.kind == VIDEO]
    assert len(headers) >= 3, "one per item"
    for kind in (AUDIO, VIDEO):
        assert min(got.gaps(kind)) >= 0
        assert max(got.gaps(kind)) <= 100
