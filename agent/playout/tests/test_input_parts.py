"""The pure parts of a live input: its buffer, its silence, its address, its reasons."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout import input_reasons
from agent.playout.flv import AUDIO, SCRIPT, VIDEO, Tag
from agent.playout.input_address import Address, InputError, parse_address
from agent.playout.input_buffer import MOST_BYTES, Buffer
from agent.playout.input_silence import FRAME, HEADER, RATE, SILENT, Silence
from agent.playout.target import Secret

VIDEO_HEADER = Tag(VIDEO, 0, b"\x17\x00\x00\x00\x00\x01\x64")
AUDIO_HEADER = Tag(AUDIO, 0, b"\xaf\x00\x11\x90")
METADATA = Tag(SCRIPT, 0, b"\x02\x00\x0aonMetaData")


def key_frame(stamp: int, size: int = 10) -> Tag:
    return Tag(VIDEO, stamp, b"\x17\x01\x00\x00\x00" + bytes(size))


def frame(stamp: int) -> Tag:
    return Tag(VIDEO, stamp, b"\x27\x01\x00\x00\x00picture")


def sound(stamp: int) -> Tag:
    return Tag(AUDIO, stamp, b"\xaf\x01sound")


def filled(*tags: Tag) -> Buffer:
    buffer = Buffer()
    for tag in tags:
        buffer.add(tag)
    return buffer


def drain(buffer: Buffer) -> list[Tag]:
    tags = []
    while buffer.peek():
        tags.append(buffer.pop())
    return tags


def test_what_is_taken_begins_with_the_headers_and_the_key_frame_behind_the_playhead() -> None:
    group = [tag for at in (0, 1000, 2000) for tag in (key_frame(at), sound(at), frame(at + 500))]
    buffer = filled(METADATA, VIDEO_HEADER, AUDIO_HEADER, frame(0), *group)
    buffer.trim(1700)
    assert buffer.can_begin
    buffer.take()
    headers = [header._replace(timestamp=1000) for header in (METADATA, VIDEO_HEADER, AUDIO_HEADER)]
    assert drain(buffer) == [*headers, *group[3:]]
    assert buffer.bytes == 0


def test_headers_that_change_among_what_is_dropped_are_the_ones_given() -> None:
    newer = Tag(VIDEO, 1000, VIDEO_HEADER.payload + b"newer")
    buffer = filled(VIDEO_HEADER, key_frame(0), newer, key_frame(1000), frame(1040))
    buffer.trim(1000)
    buffer.take()
    assert drain(buffer) == [newer, key_frame(1000), frame(1040)]


def test_the_successor_knows_the_newest_headers_and_begins_with_a_key_frame() -> None:
    newer = Tag(VIDEO, 1000, VIDEO_HEADER.payload + b"newer")
    buffer = filled(VIDEO_HEADER, AUDIO_HEADER, key_frame(0), newer, key_frame(1000)).successor()
    for tag in (frame(90_000), key_frame(90_040)):
        buffer.add(tag)
    buffer.take()
    now = 90_040
    headers = [newer._replace(timestamp=now), AUDIO_HEADER._replace(timestamp=now)]
    assert drain(buffer) == [*headers, key_frame(now)]


def test_the_headers_are_of_the_time_of_what_follows() -> None:
    buffer = filled(VIDEO_HEADER, key_frame(90_000), frame(90_040))
    buffer.take()
    assert buffer.span_ms == 40


def test_nothing_is_kept_before_the_first_key_frame() -> None:
    buffer = filled(VIDEO_HEADER, frame(0), sound(0), frame(40))
    assert (len(buffer), buffer.can_begin, buffer.span_ms) == (0, False, 0)


def test_on_air_nothing_is_dropped_and_afterwards_what_does_not_begin_with_a_key_frame() -> None:
    buffer = filled(VIDEO_HEADER, key_frame(0), frame(40))
    buffer.take()
    buffer.add(key_frame(1000))
    buffer.trim(5000)
    assert [buffer.pop().timestamp for _ in range(3)] == [0, 0, 40]
    buffer.add(frame(1040))
    buffer.give_back()
    assert buffer.can_begin
    buffer.take()
    assert drain(buffer) == [VIDEO_HEADER._replace(timestamp=1000), key_frame(1000), frame(1040)]
    buffer.give_back()
    buffer.add(frame(1080))
    assert not buffer.can_begin


def test_nobody_takes_it_and_it_stays_within_its_bounds() -> None:
    buffer = filled(VIDEO_HEADER)
    for at in range(100):
        buffer.add(key_frame(at * 40, size=1 << 20))
        buffer.trim(0)
        assert buffer.bytes < MOST_BYTES
    one_endless_group = filled(VIDEO_HEADER, key_frame(0, size=MOST_BYTES), frame(40))
    one_endless_group.trim(0)
    assert (len(one_endless_group), one_endless_group.can_begin) == (0, False)


@given(st.lists(st.sampled_from(["key", "frame", "sound", "header", "trim", "take", "give", "pop"]), max_size=80))
def test_whatever_is_done_to_it_the_counts_are_right_and_a_taker_gets_a_key_frame(steps: list[str]) -> None:
    buffer, taken, begin = filled(VIDEO_HEADER, AUDIO_HEADER), False, False
    make = {"key": key_frame, "frame": frame, "sound": sound, "header": lambda _: VIDEO_HEADER}
    for at, step in enumerate(steps):
        if step in make:
            buffer.add(make[step](at * 100))
        elif step == "trim":
            buffer.trim(at * 100 - 300)
        elif step == "take" and not taken and buffer.can_begin:
            buffer.take()
            taken = begin = True
        elif step == "give" and taken:
            buffer.give_back()
            taken = False
        elif step == "pop" and taken and buffer.peek():
            tag = buffer.pop()
            if not tag.is_codec_header:
                assert tag.is_key_frame or not begin
                begin = False
        assert buffer.bytes == sum(len(tag.payload) for tag in buffer._tags)
        if not taken and buffer.peek():
            assert buffer._tags[0].is_key_frame


def test_silence_is_sound_all_along_the_picture() -> None:
    silence = Silence()
    tags = [tag for at in range(0, 4000, 40) for tag in silence.fill([frame(7000 + at)])]
    heard = [tag for tag in tags if tag.kind == AUDIO]
    assert heard[0] == Tag(AUDIO, 7000, HEADER)
    stamps = [tag.timestamp for tag in heard[1:]]
    assert {tag.payload for tag in heard[1:]} == {SILENT}
    assert stamps == [7000 + n * FRAME * 1000 // RATE for n in range(len(stamps))]
    assert 0 <= 7000 + 3960 - stamps[-1] <= 22


@pytest.mark.parametrize("jump", [-50_000, 50_000])
def test_silence_follows_a_jump_without_filling_it(jump: int) -> None:
    silence = Silence()
    silence.fill([VIDEO_HEADER, frame(100_000)])
    after = silence.fill([frame(100_000 + jump)])
    assert [tag.kind for tag in after] == [AUDIO, VIDEO]
    assert after[0].timestamp == 100_000 + jump


def test_ffmpeg_hears_nothing_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "silence.flv"
    tags = Silence().fill([frame(at) for at in range(0, 2000, 40)])
    with file.open("wb") as out:
        out.write(b"FLV\x01\x04\x00\x00\x00\x09" + bytes(4))
        for tag in tags:
            if tag.kind == AUDIO:
                head = (
                    bytes([AUDIO]) + len(tag.payload).to_bytes(3, "big") + tag.timestamp.to_bytes(3, "big") + bytes(4)
                )
                out.write(head + tag.payload + (len(tag.payload) + 11).to_bytes(4, "big"))
    command = ["ffmpeg", "-v", "info", "-xerror", "-i", str(file), "-af", "volumedetect", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert "aac (LC), 48000 Hz, stereo" in said
    assert "max_volume: -91.0 dB" in said


ADDRESS = "rtmps://user:pass-4711@live.example.org/app/key-canary?token=other-canary"


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("http://example.org/a.m3u8", "http", "example.org", 80),
        ("https://example.org:8443/a.m3u8", "https", "example.org", 8443),
        ("rtmp://[2001:db8::1]/live/x", "rtmp", "2001:db8::1", 1935),
        (ADDRESS, "rtmps", "live.example.org", 443),
    ],
)
def test_addresses_are_taken_apart(url: str, scheme: str, host: str, port: int) -> None:
    address = parse_address(Secret(url))
    assert (address.scheme, address.host, address.port) == (scheme, host, port)
    assert "canary" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "/etc/passwd",
        "file:///etc/passwd",
        "concat:a|b",
        "HTTP://example.org/x",
        "srt://example.org:9000",
        "rtmp:///live/x",
        "http://example.org:port/",
        "http://example.org/a b",
        "http://example.org/\nfile 'x'",
        "http://[::1/",
        "rtmp://example.org/" + "x" * 3000,
    ],
)
def test_what_is_no_address_of_a_live_input_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_address(Secret(url))
    assert len(url) < 3 or url not in str(refused.value)


def test_quotes_in_an_address_stay_in_it() -> None:
    script = parse_address(Secret("http://example.org/it's'\\file")).script(None, None).decode()
    assert script.splitlines()[1] == r"file 'http://example.org/it'\''s'\''\file'"
    assert script.count("\nfile ") == 1


@pytest.mark.parametrize(
    ("url", "connect_to", "wanted"),
    [
        (
            "rtmp://h.org/live/x",
            "192.0.2.7",
            ["file 'rtmp://192.0.2.7:1935/live/x'", "option rtmp_tcurl 'rtmp://h.org/live'"],
        ),
        ("rtmp://h.org:99/a/b/x?k", "192.0.2.7", ["file 'rtmp://192.0.2.7:99/a/b/x?k'", "tcurl 'rtmp://h.org:99/a/b'"]),
        (
            "https://h.org/x.m3u8",
            None,
            ["option tls_verify '1'", "protocol_whitelist 'https,tls,tcp,crypto,httpproxy'"],
        ),
        ("rtmp://h.org/live/x", None, ["protocol_whitelist 'rtmp,tcp'", "rw_timeout '10000000'"]),
    ],
)
def test_ffmpeg_is_told_where_and_by_what(url: str, connect_to: str | None, wanted: list[str]) -> None:
    script = parse_address(Secret(url)).script(connect_to, None).decode()
    assert [line for line in wanted if line not in script] == []


@pytest.mark.parametrize(
    "line",
    [
        f"[rtmp @ 0x1] Cannot open {ADDRESS}",
        "[rtmp @ 0x1] No stream key-canary",
        "[tcp @ 0x1] live.example.org/app/key-canary failed",
        "Opening 'https://elsewhere.example/other-canary/1.ts' for reading",
        "user pass-4711",
    ],
)
def test_no_piece_of_the_address_is_left_in_a_line(line: str) -> None:
    hidden = parse_address(Secret(ADDRESS)).hide_in(line)
    assert "canary" not in hidden
    assert "4711" not in hidden


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("[http @ 0x5] HTTP error 404 File not found", 1, "the server has nothing at this address (404)"),
        ("pipe:0: Server returned 403 Forbidden (access denied)", 1, "the server does not let us in (403)"),
        ("pipe:0: Server returned 5XX Server Error reply", 1, "the server answers with an error (5XX)"),
        ("[tcp @ 0] Failed to resolve hostname x: Name or service", 1, "the host's name cannot be resolved"),
        ("Connection to tcp://1.2.3.4:1 failed: Connection refused", 1, "connection refused"),
        (
            "[flv @ 0] Video codec hevc not compatible with flv",
            1,
            "the live input sends HEVC, which RTMP platforms do not take",
        ),
        ("Stream map '0:v:0' matches no streams.", 1, "there is no picture in the live input"),
        ("", 0, "the live input has ended"),
        ("something new", 8, "FFmpeg ended with code 8"),
        ("", -9, "FFmpeg ended with code -9"),
    ],
)
def test_reasons_are_plain(line: str, code: int, reason: str) -> None:
    assert input_reasons.from_exit(["Skip", line], code) == reason


@pytest.mark.parametrize(
    ("tag", "wanted"),
    [
        (key_frame(0), None),
        (VIDEO_HEADER, None),
        (sound(0), None),
        (METADATA, None),
        (Tag(VIDEO, 0, b"\x1c\x00hevc"), "HEVC"),
        (Tag(VIDEO, 0, b"\x90hvc1...."), "HEVC"),
        (Tag(VIDEO, 0, b"\x90av01...."), "AV1"),
        (Tag(AUDIO, 0, b"\x2fmp3"), "MP3"),
    ],
)
def test_what_platforms_do_not_take_is_named(tag: Tag, wanted: str | None) -> None:
    fault = input_reasons.unfit(tag)
    assert fault is None if wanted is None else wanted in str(fault)


def test_the_address_shows_itself_to_nobody() -> None:
    address = Address("rtmp", "h", 1935, Secret("rtmp://h/key-canary"))
    assert "canary" not in f"{address} {address!r} {address.url}"
