"""The wire: golden messages, and receivers that no bytes can surprise."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import protocol
from agent.protocol import ProtocolError, StartStream, StreamStatus, decode_command, decode_up, encode

GOLDEN = Path(__file__).with_name("golden")
PAGE = Path(__file__).parent.parent.parent / "docs" / "protocol.md"
COMMANDS = ("start_stream", "update_stream", "stop_stream", "steer_stream", "test_destination", "query", "ping")
CHANNELS = {
    "stream_status_streaming": "stream-status:7",
    "stream_status_stopped": "stream-status:7",
    "stream_status_error": "stream-status:7",
    "stream_progress": "stream-progress:7",
    "pong": "vps-status:7",
    "heartbeat": "vps-status:7",
    "steered": "vps-status:7",
    "destination_tested": "vps-status:7",
    "answered": "vps-status:7",
}


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def decode(name: str, raw: str) -> protocol.Message:
    return decode_command(raw) if name in COMMANDS else decode_up(CHANNELS[name], raw)


def test_every_golden_file_is_read() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {*COMMANDS, *CHANNELS}


@pytest.mark.parametrize("name", [*COMMANDS, *CHANNELS])
def test_a_golden_message_is_read_and_said_again(name: str) -> None:
    message = decode(name, golden(name))
    assert json.loads(encode(message)) == json.loads(golden(name))


@pytest.mark.parametrize("name", [*COMMANDS, *CHANNELS])
def test_unknown_keys_are_ignored(name: str) -> None:
    body = json.loads(golden(name))
    assert decode(name, json.dumps(body | {"new": {"a": 1}})) == decode(name, golden(name))


def test_the_page_shows_the_golden_files() -> None:
    shown = re.findall(r"`agent/tests/golden/(\w+)\.json`\n\n```json\n(.*?)```", PAGE.read_text(), re.S)
    assert dict(shown) == {name: golden(name) for name in [*COMMANDS, *CHANNELS]}


def test_secrets_are_not_in_a_repr() -> None:
    message = decode_command(golden("start_stream"))
    assert isinstance(message, StartStream)
    assert "abcd-efgh" not in repr(message)
    assert "signature" not in repr(message)
    assert "abcd-efgh" not in message.config.fingerprint


def test_the_fingerprint_is_of_what_plays_and_where() -> None:
    message = decode_command(golden("start_stream"))
    assert isinstance(message, StartStream)
    config = message.config
    fresh = dataclasses.replace(config.video_files[0], download_url="https://media.example/other")
    same = dataclasses.replace(config, video_files=(fresh, *config.video_files[1:]), epoch=9, request_id="")
    assert same.fingerprint == config.fingerprint
    key = dataclasses.replace(config.push_urls[0], key="another")
    assert dataclasses.replace(config, push_urls=(key,)).fingerprint != config.fingerprint
    assert dataclasses.replace(config, loop=False).fingerprint != config.fingerprint


def test_a_vps_cannot_speak_for_another() -> None:
    with pytest.raises(ProtocolError, match="another"):
        decode_up("stream-status:8", golden("stream_status_stopped"))


@pytest.mark.parametrize("channel", ["stream-status:", "stream-status:x", "stream-status", "x:7", "pong:٧"])
def test_channels_that_are_none(channel: str) -> None:
    with pytest.raises(ProtocolError):
        decode_up(channel, golden("stream_status_stopped"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("stream_status_stopped", {"status": "stopped"}),
        ("stream_progress", {"stage": "thinking"}),
        ("stream_progress", {"progress": 101}),
        ("stream_progress", {"progress": -1}),
        ("stream_progress", {"progress": True}),
        ("stop_stream", {"stream_id": "42"}),
        ("stop_stream", {"stream_id": 2**70}),
        ("stop_stream", {"command": ["STOP_STREAM"]}),
        ("ping", {"timestamp": None}),
        ("ping", {"timestamp": 10**400}),
        ("start_stream", {"config": []}),
    ],
)
def test_words_and_numbers_out_of_bounds(name: str, change: dict) -> None:
    with pytest.raises(ProtocolError):
        decode(name, json.dumps(json.loads(golden(name)) | change))


@pytest.mark.parametrize("raw", ['{"command":"PING","timestamp":NaN}', '{"command":"PING","timestamp":1e999}'])
def test_numbers_that_are_not_finite(raw: str) -> None:
    with pytest.raises(ProtocolError):
        decode_command(raw)


def test_refusals_repeat_no_value() -> None:
    body = json.loads(golden("start_stream"))
    body["config"]["push_urls"][0]["key"] = {"sesame": "sesame"}
    with pytest.raises(ProtocolError) as error:
        decode_command(json.dumps(body))
    assert str(error.value) == "config.push_urls[0].key: not str"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _only_protocol_errors(name: str, raw: str | bytes) -> None:
    try:
        message = decode(name, raw)
    except ProtocolError:
        return
    assert decode(name, encode(message)) == message


@given(name=st.sampled_from([*COMMANDS, *CHANNELS]), raw=st.binary(max_size=60) | st.text(max_size=60))
def test_any_bytes(name: str, raw: str | bytes) -> None:
    _only_protocol_errors(name, raw)


@given(name=st.sampled_from([*COMMANDS, *CHANNELS]), data=st.data())
def test_any_change_of_a_golden_message(name: str, data: st.DataObject) -> None:
    body = json.loads(golden(name))
    place = body
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [each for each in _children(place) if isinstance(each, dict | list) and each]
        if not inner:
            break
        place = data.draw(st.sampled_from(inner))
    if isinstance(place, dict):
        key = data.draw(st.sampled_from(sorted(place)))
        if data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(JSON)
    else:
        place[0] = data.draw(JSON)
    _only_protocol_errors(name, json.dumps(body))


def _children(place: dict | list) -> list:
    return list(place.values()) if isinstance(place, dict) else place


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(ProtocolError, match="run_id: not text"):
        decode_command('{"command":"STOP_STREAM","stream_id":1,"timestamp":1,"run_id":"\\ud800"}')
    encode(protocol.StopStream(stream_id=1, timestamp=1, run_id="\ud800")).encode()


def test_nesting_without_end() -> None:
    with pytest.raises(ProtocolError):
        decode_command("[" * 100_000)


def test_a_status_without_its_parts_is_read() -> None:
    body = {"stream_id": 1, "status": "STOPPED", "message": "", "vps_id": 7, "timestamp": 1, "run_id": "r"}
    message = decode_up("stream-status:7", json.dumps(body))
    assert isinstance(message, StreamStatus)
    assert message.run is None


REQUIRED = json.loads(GOLDEN.with_name("required.json").read_text())
"""What messages of protocol 1, and their parts, cannot do without, for ever: one version behind, no more is sent."""


def test_what_is_new_has_a_default() -> None:
    for name, required in REQUIRED.items():
        fields = dataclasses.fields(getattr(protocol, name))
        missing = dataclasses.MISSING
        found = [each.name for each in fields if each.default is missing and each.default_factory is missing]
        assert sorted(found) == required, name


@pytest.mark.parametrize(("apart", "well"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_neighbouring_versions_understand_each_other(apart: int, well: bool) -> None:
    assert protocol.is_compatible(protocol.PROTOCOL_VERSION + apart) is well
    body = json.loads(golden("heartbeat")) | {"protocol": protocol.PROTOCOL_VERSION + apart, "new": [{}]}
    message = decode("heartbeat", json.dumps(body))
    assert isinstance(message, protocol.Heartbeat)
    assert message.protocol == protocol.PROTOCOL_VERSION + apart, "also of a stranger: it is shown as what it is"


def test_a_command_of_tomorrow_is_refused_and_nothing_else() -> None:
    with pytest.raises(ProtocolError, match="unknown command"):
        decode_command('{"command":"DANCE","timestamp":1}')


@pytest.mark.parametrize(("agent", "bundle"), [("0.1.0", ""), ("0.1.0+3f2a", "3f2a"), ("", "")])
def test_the_bundle_in_a_version(agent: str, bundle: str) -> None:
    assert protocol.bundle_of(agent) == bundle


def test_a_version_names_its_bundle() -> None:
    assert protocol.bundle_of(protocol.version_of("0.1.0", "a" * 64)) == "a" * 12
