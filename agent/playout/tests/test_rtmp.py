"""The session against a scripted server, and against any bytes at all."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.playout import amf, chunks, rtmp
from agent.playout.chunks import ChunkDecoder, Message
from agent.playout.rtmp import NONCE_SIZE, Phase, Refused, Session, Temporary
from agent.playout.target import Secret, TargetError, parse_target

KEY = "abc-secret?token=xyz"
TARGET = parse_target("rtmp://127.0.0.1/app/instance", KEY)
S0S1S2 = b"\x03" + bytes(1536) + bytes(1536)


def command(*values: amf.Value, stream_id: int = 0) -> bytes:
    return chunks.absolute(3, Message(20, 0, amf.encode(*values), stream_id), 128)


def control(type_id: int, payload: bytes) -> bytes:
    return chunks.absolute(2, Message(type_id, 0, payload), 128)


def status(code: str, level: str = "status", text: str = "") -> bytes:
    return command("onStatus", 0, None, {"level": level, "code": code, "description": text}, stream_id=1)


CONNECTED = command("_result", 1, {}, {"code": "NetConnection.Connect.Success"})
CREATED = command("_result", 4, None, 1)
STARTED = status("NetStream.Publish.Start")


class Conversation:
    """A session and what it says, decoded."""

    def __init__(self) -> None:
        self.session = Session(TARGET, bytes(NONCE_SIZE))
        self._decoder = ChunkDecoder()
        self.hello = self.session.take_output()

    def hear(self, data: bytes) -> list[Message]:
        self.session.receive(data)
        return self._decoder.feed(self.session.take_output())

    def commands(self, data: bytes) -> list[list[amf.Value]]:
        return [amf.decode(message.payload) for message in self.hear(data) if message.type_id == 20]


@pytest.fixture
def shaken() -> Conversation:
    talk = Conversation()
    talk.session.receive(S0S1S2)
    assert talk.session.take_output()[:1536] == S0S1S2[1:1537], "C2 echoes S1"
    talk._decoder = ChunkDecoder()
    return talk


def test_it_says_what_every_server_accepts_in_that_order() -> None:
    talk = Conversation()
    assert len(talk.hello) == 1537
    talk.session.receive(S0S1S2)
    (first,) = talk._decoder.feed(talk.session.take_output()[1536:])
    connect = amf.decode(first.payload)
    assert connect[:2] == ["connect", 1]
    assert {"app": "app/instance", "tcUrl": "rtmp://127.0.0.1/app/instance"}.items() <= connect[2].items()
    said = talk.commands(CONNECTED)
    assert [each[0] for each in said] == ["releaseStream", "FCPublish", "createStream"]
    assert said[0][3] == KEY
    assert talk.commands(CREATED) == [["publish", 5, None, KEY, "live"]]
    talk.hear(STARTED)
    assert talk.session.phase is Phase.PUBLISHED
    leaving = [amf.decode(message.payload)[0] for message in talk._decoder.feed(talk.session.farewell())]
    assert leaving == ["FCUnpublish", "deleteStream"]


@given(st.lists(st.integers(0, 9999)))
def test_it_does_not_matter_how_the_answers_are_split(cuts: list[int]) -> None:
    data = S0S1S2 + CONNECTED + CREATED + STARTED
    edges = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    talk = Conversation()
    for start, end in itertools.pairwise(edges):
        talk.session.receive(data[start:end])
    assert talk.session.phase is Phase.PUBLISHED


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (status("NetStream.Publish.BadName", "error"), Refused),
        (status("NetStream.Publish.Denied", "error"), Refused),
        (status("NetStream.Failed", "error"), Temporary),
        (status("NetStream.Unpublish.Success"), None),
        (command("_error", 5, None, {"code": "NetStream.Publish.BadName"}), Refused),
        (command("_error", 2, None, {"code": "NetConnection.Call.Failed"}), None),
        (command("close", 0, None), Temporary),
    ],
)
def test_answers_to_publish(shaken: Conversation, answer: bytes, kind: type[Exception] | None) -> None:
    shaken.hear(CONNECTED + CREATED)
    if kind is None:
        shaken.hear(answer)
        return
    with pytest.raises(kind):
        shaken.hear(answer)


def test_a_rejected_application_is_a_refusal(shaken: Conversation) -> None:
    with pytest.raises(Refused, match="no such app"):
        shaken.hear(
            command("_error", 1, None, {"code": "NetConnection.Connect.Rejected", "description": "no such app"})
        )


def test_a_key_the_server_repeats_is_hidden(shaken: Conversation) -> None:
    shaken.hear(CONNECTED + CREATED)
    with pytest.raises(Refused) as caught:
        shaken.hear(status("NetStream.Publish.BadName", "error", f"stream {KEY} or abc-secret\nis taken"))
    assert "abc-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_ping_is_answered(shaken: Conversation) -> None:
    (pong,) = shaken.hear(control(4, struct.pack(">HI", 6, 1234)))
    assert (pong.type_id, pong.payload) == (4, struct.pack(">HI", 7, 1234))


def test_bytes_are_acknowledged_by_the_window(shaken: Conversation) -> None:
    shaken.hear(control(5, (1000).to_bytes(4, "big")))
    said = shaken.hear(status("NetStream.Data.Start", text="x" * 1200))
    assert [message.type_id for message in said] == [3]
    assert int.from_bytes(said[0].payload, "big") > 4000


def test_acknowledgements_count_on_past_32_bits(shaken: Conversation) -> None:
    for count in (2**30, 2**31, 3 * 2**30, 2**32 - 10, 2**32 + 50):
        shaken.hear(control(3, (count & 0xFFFFFFFF).to_bytes(4, "big")))
    assert shaken.session.acknowledged == 2**32 + 50


def test_another_protocol_is_named() -> None:
    with pytest.raises(Temporary, match="does not speak RTMP"):
        Session(TARGET, bytes(NONCE_SIZE)).receive(b"HTTP/1.1 400 Bad Request")


def test_acknowledgements_that_begin_again_at_nought_are_signs_of_life_all_the_same(shaken: Conversation) -> None:
    """nginx-rtmp does so at 4 GB."""
    counts = [2**31 + 5, 0, 1000, 1000, 2000]
    for count in counts:
        shaken.hear(control(3, count.to_bytes(4, "big")))
    assert shaken.session.acknowledgements == 4, "the same number again is no news"


def test_the_bandwidth_is_asked_for_once(shaken: Conversation) -> None:
    asked = [shaken.commands(command("onBWDone", 0, None, 8192)) for _ in range(3)]
    assert asked == [[["_checkbw", 8, None]], [], []]
    assert shaken.commands(command("_error", 8, None, {"code": "NetConnection.Call.Failed"})) == []


@pytest.mark.parametrize(
    "chatter",
    [
        command("_onbwcheck", 1, None, 7), command("_onbwdone", 0, None, 5), command("onFCPublish", 0, None, {}),
        command("|RtmpSampleAccess", True, True), command("onStatus", 0, None, {"level": "warning", "code": "X"}),
        command("onStatus"), command("_result"), command("_error"), command(1, 2), command(), command("onBWDone"),
        control(1, (65536).to_bytes(4, "big")), control(2, (3).to_bytes(4, "big")), control(4, b"\0\0\0\0\0\1"),
        control(4, b"\0\x1f"), control(3, b""), control(5, b""), control(6, b""), control(18, b"\2\0\0"),
        control(22, bytes(50)), control(99, b"?"), command("onStatus", 0, None, [{"code": "NetStream.Publish.Start"}]),
    ],
)  # fmt: skip
def test_what_it_need_not_understand_does_not_disturb_it(shaken: Conversation, chatter: bytes) -> None:
    for honest in (CONNECTED, CREATED, STARTED):
        shaken.hear(chatter)
        shaken.hear(honest)
    shaken.hear(chatter)
    assert shaken.session.phase is Phase.PUBLISHED


def test_commands_in_amf3_are_understood(shaken: Conversation) -> None:
    answer = amf.encode("_result", 1, {}, {"code": "NetConnection.Connect.Success"})
    shaken.hear(chunks.absolute(3, Message(17, 0, b"\0" + answer), 128))
    assert shaken.session.phase is Phase.CREATE


def test_a_command_longer_than_any_is_not_taken_apart(shaken: Conversation) -> None:
    shaken.hear(control(1, (1 << 20).to_bytes(4, "big")))
    many = chunks.absolute(3, Message(20, 0, b"\5" * (rtmp.LONGEST_COMMAND + 1)), 1 << 20)
    with pytest.raises(Temporary, match="longer than"):
        shaken.hear(many)


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret("abc")
    assert "abc" not in f"{secret} {secret!r} {secret!s} {TARGET} %s" % secret
    assert "abc" not in repr(TARGET)
    assert secret.reveal() == "abc"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://h/app", "k"),
        ("rtmp://h", "k"),
        ("rtmp:///app", "k"),
        ("rtmp://h:99999/app", "k"),
        ("rtmp://h/app", ""),
        ("rtmp://h/app", "a b"),
        ("rtmp://h/a\npp", "k"),
    ],
)
def test_targets_that_cannot_be(url: str, key: str) -> None:
    with pytest.raises(TargetError):
        parse_target(url, key)


def test_targets_are_taken_apart() -> None:
    target = parse_target("rtmps://[::1]/live2/x?a=b", "k")
    assert (target.host, target.port, target.app, target.tls) == ("::1", 443, "live2/x?a=b", True)
    assert target.address == "[::1]:443"
