"""What is not well with a Redis, found in a real one."""

from collections.abc import Iterator

import pytest
import redis
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from agent.protocol import UP_PATTERNS
from lab.valkey import Valkey
from ops import queues, redis_health
from streams.tests import build


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path_factory.mktemp("redis"))
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def client(server, settings, db):
    settings.REDIS_URL = settings.AGENT_REDIS_URL = server.url
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", 0)


@pytest.fixture
def listener(client):
    with client.pubsub() as pubsub:
        pubsub.psubscribe(*UP_PATTERNS)
        pubsub.get_message(timeout=2)
        yield


def look(*, fix=False):
    return {each.words: each.is_fixed for each in redis_health.look(timezone.now(), fix=fix)}


@pytest.mark.usefixtures("listener")
def test_a_well_one_has_nothing(client, capsys):
    assert look() == {}
    call_command("redis_health_check")
    assert capsys.readouterr().out == "well\n"


def test_nobody_listening_is_said(client):
    assert look() == {"no listener hears the agents": False}


@pytest.mark.usefixtures("listener")
def test_an_agent_that_cannot_be_told_and_one_too_many(client):
    deaf, double = build.vps("deaf"), build.vps("double")
    build.vps("silent", last_heartbeat_at=build.ago(3600))
    ears = [build.Ear(double.pk), build.Ear(double.pk)]
    assert deaf.pk != double.pk
    assert list(look()) == [
        "«deaf» sends heartbeats but hears no commands",
        "2 agents hear as «double»: each VPS has one",
    ]
    for ear in ears:
        ear.close()


@pytest.mark.usefixtures("listener")
def test_jobs_nobody_would_ever_do_are_queued_again(client):
    key = "dramatiq:default"
    client.hset(f"{key}.msgs", mapping={"lost": "{}", "waiting": "{}", "in-hand": "{}"})
    client.rpush(key, "waiting")
    client.sadd("dramatiq:__acks__.w1.default", "in-hand")
    words = "1 jobs of «default» stood in no queue"
    assert look() == {words: False}
    assert look(fix=True) == {words: True}
    assert client.lrange(key, 0, -1) == [b"waiting", b"lost"]
    assert look() == {}
    assert queues.depths(client)["default", "waiting"] == 2


@pytest.mark.usefixtures("listener")
def test_keys_that_would_never_go_are_let_go(client, capsys):
    client.set("samples:1", "x")
    client.set("samples:2", "x", ex=50)
    client.set("somebody-else", "x")
    with pytest.raises(CommandError, match="1 findings"):
        call_command("redis_health_check")
    call_command("redis_health_check", "--fix")
    assert "fixed: 1 keys «samples:*» would never go" in capsys.readouterr().out
    assert (client.ttl("samples:1") > 3600, client.ttl("samples:2") <= 50, client.ttl("somebody-else")) == (1, 1, -1)


@pytest.mark.usefixtures("listener")
def test_a_policy_that_throws_jobs_away_and_a_memory_that_is_full(client):
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("maxmemory", client.info()["used_memory"] // 2)
    found = list(look())
    client.config_set("maxmemory-policy", "noeviction")
    assert "throws queued jobs away" in found[1]
    assert found[0].startswith("memory is ")
    assert any(words.startswith("refuses to write") for words in look())


def test_one_that_is_away_is_said_and_the_job_fails(client, settings, tmp_path):
    settings.REDIS_URL = settings.AGENT_REDIS_URL = f"unix://{tmp_path}/nothing.sock"
    with pytest.raises(redis_health.UnwellError, match="does not answer"):
        redis_health.check_and_fix(timezone.now())
