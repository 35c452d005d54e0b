"""What FFmpeg is told, and what is made of what it tells."""

import pytest

from agent.playout import ffmpeg_words as words
from agent.playout.link import Closed, Misconfigured
from agent.playout.rtmp import Phase, Refused, RtmpError, Temporary
from agent.playout.target import parse_target

KEY = "se-cret?token=a=b"
PLAIN = parse_target("rtmp://live.example.org/app", KEY)
SECURE = parse_target("rtmps://live.example.org/app", KEY)
CONNECTED = "[tcp @ 0x1] [verbose] Successfully connected to 1.2.3.4 port 1935"
SHAKEN = "[rtmp @ 0x1] [debug] Proto = rtmp, path = /, app = app, fname = se-cret"
ACCEPTED = "[rtmp @ 0x1] [debug] Releasing stream..."
PUBLISHING = "[rtmp @ 0x1] [debug] Sending publish command for 'se-cret'"
OPENED = "[info] Output #0, flv, to 'rtmp://1.2.3.4:1935/':"
BROKEN = "[error] av_interleaved_write_frame(): Broken pipe"
GONE = "[error] rtmp://1.2.3.4:1935/: Input/output error"
ALL = [CONNECTED, SHAKEN, ACCEPTED, PUBLISHING]


def _told(*lines: str, secure: bool = False) -> words.Telling:
    telling = words.Telling(SECURE if secure else PLAIN)
    for line in lines:
        telling.hear(line)
    return telling


@pytest.mark.parametrize(
    ("lines", "kind", "reason"),
    [
        (["[tcp @ 0x1] [error] Failed to resolve hostname x: Name or service not known", GONE],
         Temporary, "the name «live.example.org» cannot be resolved"),
        (["[tcp @ 0x1] [error] Connection to tcp://1.2.3.4:1935?tcp_nodelay=0 failed: Connection refused"],
         Temporary, "live.example.org:1935 cannot be reached: connection refused"),
        (["[tcp @ 0x1] [error] Connection to tcp://1.2.3.4:1935 failed: No route to host"],
         Temporary, "live.example.org:1935 cannot be reached: no route to host"),
        ([CONNECTED, "[rtmp @ 0x1] [error] Cannot read RTMP handshake response", "[error] x: End of file"],
         Closed, "the server closed the connection during the handshake"),
        ([CONNECTED, SHAKEN, GONE], Closed, "the server closed the connection on «connect»: is the application right?"),
        ([*ALL, GONE], Closed, "the server closed the connection when it was given the stream key"),
        ([*ALL, "[rtmp @ 0x1] [error] Server error: Already publishing"],
         Refused, "refused by the server: Already publishing"),
        ([*ALL, "[rtmp @ 0x1] [error] Server error: no se-cret?token=a=b here, nor se-cret"],
         Refused, "refused by the server: no ••• here, nor •••"),
        ([*ALL, OPENED, BROKEN], Closed, "the server closed the connection"),
        ([*ALL, OPENED, "[error] x: Connection reset by peer"], Closed, "the server reset the connection"),
        ([*ALL, OPENED, "[rtmp @ 0x1] [error] Server error: kicked"], Temporary, "the server ended the stream: kicked"),
        (["[fatal] pipe:0: Invalid data found when processing input"],
         Temporary, "FFmpeg ended with code 1: pipe:0: Invalid data found when processing input"),
        ([], Temporary, "FFmpeg ended with code 1"),
    ],
)  # fmt: skip
def test_why_it_ended(lines: list[str], kind: type[RtmpError], reason: str) -> None:
    verdict = _told(*lines).verdict(1)
    assert (type(verdict), str(verdict)) == (kind, reason)


@pytest.mark.parametrize(
    ("line", "kind", "reason"),
    [
        ("[tls @ 0x1] [error] Peer certificate failed verification", Misconfigured, "is not valid: Peer certificate"),
        ("[tls @ 0x1] [error] The certificate's owner does not match hostname x", Misconfigured, "does not match"),
        ("[tls @ 0x1] [error] An unexpected TLS packet was received.", Temporary, "does not speak TLS as expected"),
    ],
)
def test_why_tls_failed(line: str, kind: type[RtmpError], reason: str) -> None:
    failed = ["[rtmps @ 0x1] [error] Cannot open connection tls://live.example.org:443", GONE]
    verdict = _told(CONNECTED, line, *failed, secure=True).verdict(1)
    assert type(verdict) is kind
    assert reason in str(verdict)


def test_a_server_that_closes_as_soon_as_the_stream_begins_is_named() -> None:
    assert "at once closed" in str(_told(*ALL, OPENED, BROKEN).verdict(1, 0.3))


def test_a_signal_is_named() -> None:
    assert str(_told().verdict(-9)) == "FFmpeg was ended by signal 9"


@pytest.mark.parametrize(
    ("lines", "phase"),
    [([CONNECTED], Phase.HANDSHAKE), (ALL[:2], Phase.CONNECT), (ALL[:3], Phase.CREATE), (ALL, Phase.PUBLISH),
     ([*ALL, OPENED], Phase.PUBLISHED), ([*ALL, OPENED, PUBLISHING], Phase.PUBLISHED)],
)  # fmt: skip
def test_how_far_it_is(lines: list[str], phase: Phase) -> None:
    assert _told(*lines).phase is phase


def test_only_the_last_errors_are_kept() -> None:
    telling = _told(*(f"[error] number {number}" for number in range(100)))
    assert len(telling.errors) == words.KEPT_LINES
    assert telling.errors[-1] == "number 99"


def test_neither_key_nor_application_is_an_argument() -> None:
    arguments = words.arguments("ffmpeg", words.bare_url(PLAIN, "1.2.3.4"), "/run/x.opt", None)
    assert arguments[-1] == "rtmp://1.2.3.4:1935/"
    assert not [each for each in arguments if "se-cret" in each or "app" in each]


def test_tls_is_verified_by_the_name() -> None:
    arguments = words.arguments("ffmpeg", words.bare_url(SECURE, None), "/run/x.opt", "/ca.pem")
    assert arguments[-1] == "rtmps://live.example.org:443/"
    assert "-tls_verify 1 -ca_file /ca.pem" in " ".join(arguments)


def test_a_literal_of_ipv6_stands_in_brackets() -> None:
    assert words.bare_url(parse_target("rtmp://[::1]:1936/app", "k"), None) == "rtmp://[::1]:1936/"
    assert words.bare_url(PLAIN, "2001:db8::1") == "rtmp://[2001:db8::1]:1935/"


def test_the_file_of_options_holds_the_key_as_it_is() -> None:
    assert words.options_file(PLAIN).splitlines() == [
        "rtmp_app=app", "rtmp_tcurl=rtmp://live.example.org/app", f"rtmp_playpath={KEY}",
    ]  # fmt: skip


def test_what_ffmpeg_would_read_as_two_lines_is_refused() -> None:
    with pytest.raises(Misconfigured, match="too long"):
        words.options_file(parse_target("rtmp://h/app", "k" * 901))
