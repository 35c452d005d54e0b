"""`fleet_ping`, against an agent that answers (or does not)."""

import json
import threading

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command

from agent.protocol import Pong, commands_channel, decode_command, encode, vps_channel
from fleet.models import VpsStatus
from streams.tests import build


@pytest.fixture
def answering(vps):
    client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(commands_channel(vps.pk))
    pubsub.get_message(timeout=2)

    def answer():
        raw = pubsub.get_message(timeout=10)
        asked = decode_command(raw["data"])
        pong = Pong(vps_id=vps.pk, timestamp=1.0, active_streams=3, ping_timestamp=asked.timestamp)
        client.publish(vps_channel(vps.pk), "{rubbish")
        client.publish(vps_channel(vps.pk), encode(pong))

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    thread.join(10)
    pubsub.close()
    client.close()


def test_an_agent_that_answers_is_timed(vps, answering, capsys):
    call_command("fleet_ping", vps.name)
    said = capsys.readouterr().out
    assert said.startswith("«vps-1» answered in ")
    assert said.endswith("ms and holds 3 streams\n")


def test_an_agent_that_is_not_there_is_an_error(vps):
    with pytest.raises(CommandError, match="No agent listens"):
        call_command("fleet_ping", vps.name)


def test_all_of_them_are_asked_and_those_that_are_silent_counted(vps, answering, capsys):
    build.vps("far")
    build.vps("off", status=VpsStatus.INACTIVE)
    with pytest.raises(CommandError, match="1 of 2 did not answer"):
        call_command("fleet_ping", "--all", "--json")
    found = {row["vps"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(found) == {"vps-1", "far"}
    assert (found["vps-1"]["streams"], found["vps-1"]["error"]) == (3, "")
    assert found["vps-1"]["took_ms"] > 0
    assert found["far"]["took_ms"] is None


@pytest.mark.parametrize("arguments", [[], ["vps-1", "--all"]])
def test_one_is_named_or_all_are_meant(db, arguments):
    with pytest.raises(CommandError, match="name a VPS, or say --all"):
        call_command("fleet_ping", *arguments)


def test_an_unknown_name_is_an_error(db):
    with pytest.raises(CommandError, match="no VPS named"):
        call_command("fleet_ping", "nobody")
