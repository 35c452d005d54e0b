"""The contract of RED-6: what the user of an agent may do in a real Redis, and that it is all."""

import pytest
import redis

from agent import protocol
from fleet import redis_acl
from lab.valkey import Valkey

ME, OTHER = 7, 77
MY_UP = [protocol.status_channel(ME), protocol.progress_channel(ME), protocol.vps_channel(ME)]

MAY = [
    ["PING"],
    ["TIME"],
    ["CLIENT", "SETNAME", "ezstream-agent-7"],
    *(["PUBLISH", channel, "x"] for channel in MY_UP),
]
MAY_NOT = [
    # its own orders, and everything of its neighbours (7 is the beginning of 77)
    ["PUBLISH", protocol.commands_channel(ME), "x"],
    *(["PUBLISH", each(OTHER), "x"] for each in (protocol.status_channel, protocol.commands_channel)),
    *(["SUBSCRIBE", each(OTHER)] for each in (protocol.commands_channel, protocol.vps_channel)),
    *(["SUBSCRIBE", channel] for channel in MY_UP),
    ["SUBSCRIBE", protocol.commands_channel(ME), protocol.commands_channel(OTHER)],
    ["PSUBSCRIBE", "*"], ["PSUBSCRIBE", "vps-commands:*"], ["PSUBSCRIBE", protocol.commands_channel(ME)],
    ["SSUBSCRIBE", protocol.commands_channel(ME)], ["SPUBLISH", MY_UP[0], "x"],
    ["PUBLISH", f"{MY_UP[0]} ", "x"], ["PUBLISH", "", "x"], ["PUBLISH", "__keyspace@0__:x", "x"],
    ["PUBSUB", "CHANNELS"], ["PUBSUB", "NUMSUB", MY_UP[0]],
    # keys: the queue, sessions, the cache, samples
    ["GET", "samples:7"], ["SET", "x", "1"], ["DEL", "x"], ["KEYS", "*"], ["SCAN", "0"], ["EXISTS", "x"],
    ["HGETALL", "dramatiq:default.msgs"], ["LPUSH", "dramatiq:default", "x"], ["RANDOMKEY"], ["DBSIZE"],
    ["EVAL", "return 1", "0"], ["EVAL", "return redis.call('publish','vps-commands:77','x')", "0"],
    ["MULTI"], ["WATCH", "x"], ["SORT", "x"], ["RESTORE", "x", "0", ""], ["MIGRATE", "h", "1", "x", "0", "1"],
    # the server
    ["INFO"], ["CONFIG", "GET", "*"], ["CONFIG", "SET", "dir", "/tmp"], ["ACL", "LIST"], ["ACL", "WHOAMI"],
    ["ACL", "SETUSER", "vps-7", "allcommands"], ["CLIENT", "LIST"], ["CLIENT", "KILL", "TYPE", "normal"],
    ["CLIENT", "TRACKING", "ON"], ["CLIENT", "NO-EVICT", "ON"], ["CLIENT", "PAUSE", "1"], ["MONITOR"], ["SELECT", "1"],
    ["FLUSHALL"], ["FLUSHDB"], ["SAVE"], ["SHUTDOWN"], ["REPLICAOF", "h", "1"], ["SYNC"],
    ["SLOWLOG", "GET"], ["LATENCY", "LATEST"], ["MEMORY", "STATS"], ["MODULE", "LIST"], ["COMMAND", "COUNT"],
    ["FUNCTION", "LIST"], ["SCRIPT", "FLUSH"], ["CLUSTER", "INFO"], ["WAIT", "0", "0"], ["OBJECT", "HELP"],
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    valkey = Valkey(tmp_path_factory.mktemp("acl"))
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        for vps_id in (ME, OTHER):
            words = redis_acl.rules(vps_id, [redis_acl.digest(f"pw-{vps_id}")])
            client.execute_command("ACL SETUSER", redis_acl.user_name(vps_id), *words)
        client.set("x", "1")
    yield valkey
    valkey.stop()


@pytest.fixture
def wire(server):
    """A connection as the agent's user that says just what it is told."""
    kwargs = {"path": str(server.socket), "username": "vps-7", "password": "pw-7", "driver_info": None, "protocol": 2}
    connection = redis.connection.UnixDomainSocketConnection(**kwargs)
    connection.connect()
    yield connection
    connection.disconnect()


def say(wire, *words):
    wire.send_command(*words)
    return wire.read_response()


@pytest.mark.parametrize("words", MAY, ids=" ".join)
def test_an_agent_may(wire, words):
    say(wire, *words)


def test_an_agent_hears_its_orders_and_may_end_hearing(server, wire):
    say(wire, "SUBSCRIBE", protocol.commands_channel(ME))
    with redis.Redis.from_url(server.url) as control:
        assert control.publish(protocol.commands_channel(ME), "go") == 1
    assert wire.read_response()[-1] == b"go"
    say(wire, "PING")
    say(wire, "UNSUBSCRIBE")


@pytest.mark.parametrize("words", MAY_NOT, ids=" ".join)
def test_an_agent_may_not(wire, words):
    with pytest.raises(redis.exceptions.NoPermissionError):
        say(wire, *words)


def test_without_its_password_nobody_is_it(server):
    for password in ("pw-77", "", redis_acl.digest("pw-7")):
        client = redis.Redis(unix_socket_path=str(server.socket), username="vps-7", password=password)
        with client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_setting_the_same_again_drops_nobody(server, wire):
    say(wire, "SUBSCRIBE", protocol.commands_channel(ME))
    with redis.Redis.from_url(server.url) as control:
        digests = [redis_acl.digest("pw-7"), redis_acl.digest("new")]
        control.execute_command("ACL SETUSER", "vps-7", *redis_acl.rules(ME, digests))
        control.execute_command("ACL SETUSER", "vps-7", *redis_acl.rules(ME, digests[:1]))
        assert control.publish(protocol.commands_channel(ME), "go") == 1
    assert wire.read_response()[-1] == b"go"


@pytest.mark.parametrize(
    ("name", "vps_id"),
    [
        ("vps-7", 7),
        ("vps-77", 77),
        ("vps-07", None),
        ("vps-", None),
        ("vps-7x", None),
        ("default", None),
        ("vps-٣", None),
    ],
)
def test_whose_user_a_name_is(name, vps_id):
    assert redis_acl.vps_of_user(name) == vps_id
