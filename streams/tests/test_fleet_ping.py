"""`fleet_ping`, against an agent that answers (or does not)."""

import threading

import pytest
import redis
from django.conf import settings
from django.core.management import CommandError, call_command

from agent.protocol import Pong, commands_channel, decode_command, encode, vps_channel


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
    with pytest.raises(CommandError, match="did not answer"):
        call_command("fleet_ping", vps.name)


def test_an_unknown_name_is_an_error(db):
    with pytest.raises(CommandError, match="no VPS named"):
        call_command("fleet_ping", "nobody")
