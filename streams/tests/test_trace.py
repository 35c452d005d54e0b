"""Watching what is said about one stream: nothing of others, and no key."""

import json
import threading
import time

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from agent.protocol import (
    Heartbeat,
    Load,
    Ping,
    RunReport,
    Steered,
    StopStream,
    StreamProgress,
    commands_channel,
    encode,
    progress_channel,
    vps_channel,
)
from agent.tests.test_protocol import COMMANDS, decode, golden
from fleet import commands
from lab.processes import wait_until
from streams import commanding, tracing
from streams.models import LiveInput
from streams.tests import build

SECRETS = ("sesame-key", "signature", "/live/k3y")


@pytest.fixture
def run(alice, vps):
    row = build.stream(alice, title="Night train", outputs=0)
    row.outputs.create(destination=build.destination(alice, key="sesame-key"))
    live: LiveInput = build.live_input(alice)
    row.items.create(live=live, position=9)
    return build.starting_run(row, vps)


class Watch:
    """A watch, in a thread, while the test speaks."""

    def __init__(self, stream_id: int) -> None:
        self._client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
        before = self._client.pubsub_numpat()
        self._said: list[tracing.Said] = []
        self._thread = threading.Thread(target=self._watch, args=(stream_id,))
        self._thread.start()
        wait_until(lambda: self._client.pubsub_numpat() >= before + 4, "it listens")

    def _watch(self, stream_id: int) -> None:
        for said in tracing.watch(stream_id, 30):
            self._said.append(said)
            if said.kind == "UNREADABLE":
                return

    def say(self, channel: str, text: str) -> None:
        self._client.publish(channel, text)

    def end(self) -> list[tracing.Said]:
        self.say(vps_channel(1), "{end")
        self._thread.join(20)
        self._client.close()
        return self._said[:-1]


def test_what_is_said_about_it_is_seen_without_keys_and_nothing_else(run, vps):
    watch = Watch(run.stream_id)
    commands.publish(vps.pk, Ping(timestamp=1.0))
    commanding.send_start(run, timezone.now())
    commands.publish(vps.pk, StopStream(stream_id=run.stream_id + 1, timestamp=1.0))
    words = "pushing rtmp://h/app/sesame-key"
    known = {"stage": "downloading", "progress": 10, "vps_id": vps.pk, "timestamp": 1.0, "run_id": str(run.pk)}
    watch.say(progress_channel(vps.pk), encode(StreamProgress(stream_id=run.stream_id, message=words, **known)))
    ours, another = (
        RunReport(stream_id=number, run_id="r", epoch=1, phase="on_air") for number in (run.stream_id, 9999)
    )
    load = Load(cpu=1, memory=1, disk=1)
    for runs in ((another,), (another, ours)):
        beat = Heartbeat(vps_id=vps.pk, timestamp=1.0, agent_version="1", load=load, runs=runs)
        watch.say(vps_channel(vps.pk), encode(beat))
    steered = Steered(
        vps_id=vps.pk, timestamp=1, stream_id=run.stream_id, run_id="r", order_id="o", ok=False, message="no"
    )
    watch.say(vps_channel(vps.pk), encode(steered))
    said = watch.end()
    assert [(each.kind, each.is_down, each.vps_id) for each in said] == [
        ("START_STREAM", True, vps.pk),
        ("StreamProgress", False, vps.pk),
        ("HEARTBEAT", False, vps.pk),
        ("STEERED", False, vps.pk),
    ]
    whole = "\n".join([*(each.words("vps-1") for each in said), json.dumps([each.body for each in said])])
    assert not [secret for secret in SECRETS if secret in whole]
    assert "→ vps-1  START_STREAM  run=" in whole
    assert "files=3 destinations=1" in whole
    assert "stage=downloading progress=10 message=pushing rtmp://h/app/•••" in whole


def test_no_golden_message_gives_a_secret_away():
    for name in COMMANDS:
        text = json.dumps(tracing.masked(decode(name, golden(name))))
        for secret in ("abcd-efgh", "signature", "FB-abcd", "evening", "7Yk"):
            assert secret not in text, name


def test_what_cannot_be_read_is_told_by_its_size(run, vps):
    watch = Watch(run.stream_id)
    watch.say(commands_channel(vps.pk), '{"command": "START_STREAM", "key": "sesame-key"}')
    watch._thread.join(20)
    (said,) = watch._said
    assert said.kind == "UNREADABLE"
    assert "sesame" not in said.words("vps-1")


def test_the_command_ends_after_as_long_as_was_said(run, vps, capsys):
    began = time.monotonic()
    call_command("stream_trace", str(run.stream_id), "--seconds", "0.2")
    assert time.monotonic() - began >= 0.2
    said = capsys.readouterr().out
    assert said.startswith("«Night train»:")
    assert said.endswith("0 messages\n")


def test_the_command_speaks_json_and_ends_by_ctrl_c(run, vps, monkeypatch, capsys):
    def watch(_stream_id, _seconds):
        yield tracing.Said(1.0, vps.pk, True, "PING", {"a": 1})
        raise KeyboardInterrupt

    monkeypatch.setattr(tracing, "watch", watch)
    call_command("stream_trace", str(run.stream_id), "--json")
    assert json.loads(capsys.readouterr().out) == {
        "at": 1.0, "vps_id": vps.pk, "is_down": True, "kind": "PING", "body": {"a": 1},
    }  # fmt: skip


def test_a_stream_that_is_not_there(db):
    with pytest.raises(CommandError, match="no stream 77"):
        call_command("stream_trace", "77")


def test_a_redis_that_is_away_is_said(run, no_redis):
    with pytest.raises(CommandError, match="Redis does not answer"):
        call_command("stream_trace", str(run.stream_id))
