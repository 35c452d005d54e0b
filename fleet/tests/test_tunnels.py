"""Redis through SSH: bytes come through, it comes back after every cut, and it ends when nobody wants it."""

import socket
import threading
import time
from types import SimpleNamespace

import pytest
import redis
from django.conf import settings as django_settings

from agent.tests.servers import AgentProcess, Ear
from fleet import redis_users, tunnels
from fleet.models import Vps
from fleet.provision import keys
from fleet.tests.ssh_server import PASSWORD, serving
from fleet.tunnels import LEASE, Keeper, join, pause_s
from lab.ports import free_port
from lab.processes import wait_until
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def port(monkeypatch):
    """Where the server listens on its loopback, which is ours here."""
    port = free_port()
    monkeypatch.setattr(redis_users, "TUNNEL_PORT", port)
    return port


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(tunnels, "LOOK_S", 0.1)
    monkeypatch.setattr(tunnels, "pause_s", lambda failures, jitter: 0.2)
    with redis.Redis.from_url(django_settings.AGENT_REDIS_URL) as client:
        client.delete(LEASE)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def vps(server):
    vps = build.vps(ssh_port=server.port, host_key=keys.written(server.host_key), redis_by_tunnel=True)
    vps.set_password(PASSWORD)
    vps.save()
    return vps


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What says that it is alive; in no database, where two threads of a test would wait for each other."""
    found = []
    monkeypatch.setattr(tunnels, "say_alive", found.append)
    return found


@pytest.fixture
def keep(port):
    """A keeper at work; ended at the end."""
    stop, threads = threading.Event(), []

    def keep():
        keeper = Keeper(port)
        threads.append(threading.Thread(target=keeper.run, args=(stop,)))
        threads[-1].start()
        return keeper

    yield keep
    stop.set()
    for thread in threads:
        thread.join(20)


def answers(url):
    try:
        with redis.Redis.from_url(url, driver_info=None, retry=None, socket_timeout=5) as client:
            return client.ping()
    except redis.RedisError:
        return False


def stands(keeper, vps):
    tunnel = keeper.tunnels.get(vps.pk)
    return tunnel is not None and tunnel.stands.is_set()


def test_an_agent_reaches_redis_through_it_under_its_own_user(vps, keep, port, tmp_path):
    keep()
    access = redis_users.access(vps)
    assert access.url.endswith(f"@127.0.0.1:{port}")
    wait_until(lambda: answers(access.url), "Redis answers through the tunnel", 15)
    ear = Ear(django_settings.AGENT_REDIS_URL)
    agent = AgentProcess(access.url, tmp_path / "work", "127.0.0.1:1", vps.pk)
    agent.start()
    ear.wait_for(lambda message: message.vps_id == vps.pk)
    agent.end()
    ear.close()


def test_it_comes_back_after_a_cut(vps, keep, server):
    keep()
    url = redis_users.access(vps).url
    for _cut in range(3):
        wait_until(lambda: answers(url), "Redis answers through the tunnel", 15)
        server.drop_all()
        wait_until(lambda: not answers(url), "the cut is felt", 15)
    wait_until(lambda: answers(url), "it is back", 15)


def test_much_comes_through_whole(vps, keep):
    keep()
    url = redis_users.access(vps).url
    wait_until(lambda: answers(url), "Redis answers through the tunnel", 15)
    address = url.rpartition("@")[2]
    blob = "x" * 3_000_000
    with redis.Redis.from_url(f"redis://{address}") as client:
        client.set("blob", blob, ex=60)
        assert client.get("blob") == blob.encode()


def test_it_says_that_it_is_alive(keep, said):
    keep()
    wait_until(lambda: said, "it is said", 15)
    assert set(said) == {"tunnels"}


def test_it_follows_what_is_wanted(vps, keep, server):
    keeper = keep()
    wait_until(lambda: stands(keeper, vps), "it stands", 15)
    redis_users.cut_off(vps, None)
    wait_until(lambda: not keeper.tunnels, "one that is cut off has none", 15)
    redis_users.admit(vps, None)
    wait_until(lambda: stands(keeper, vps), "it stands again", 15)
    Vps.objects.update(redis_by_tunnel=False)
    wait_until(lambda: not keeper.tunnels, "nobody wants it", 15)
    wait_until(lambda: not answers(redis_users.access(vps).url), "it is closed", 15)


def test_no_tunnel_trusts_a_host_key_at_first_sight(vps, keep, server, settings, caplog):
    settings.SSH_TRUST_FIRST_USE = True
    Vps.objects.update(host_key="")
    keeper = keep()
    wait_until(lambda: "unknown_key" in caplog.text, "it is logged", 15)
    assert server.passwords == []
    Vps.objects.update(host_key=server.target().host_key)
    wait_until(lambda: stands(keeper, vps), "it stands", 15)


def test_a_wrong_login_is_tried_again_with_the_right_one(vps, keep, caplog):
    vps.set_password("wrong")
    vps.save()
    keeper = keep()
    wait_until(lambda: "bad_login" in caplog.text, "it is logged", 15)
    assert "wrong" not in caplog.text
    vps.set_password(PASSWORD)
    vps.save()
    wait_until(lambda: stands(keeper, vps), "it stands", 15)


def test_of_two_keepers_one_works_and_the_other_takes_over(vps, port):
    ends = [threading.Event(), threading.Event()]
    keepers = [Keeper(port), Keeper(port)]
    threads = [threading.Thread(target=keeper.run, args=(end,)) for keeper, end in zip(keepers, ends, strict=True)]
    threads[0].start()
    wait_until(lambda: bool(keepers[0].tunnels), "the first works", 15)
    threads[1].start()
    time.sleep(0.5)
    assert not keepers[1].tunnels
    ends[0].set()
    wait_until(lambda: bool(keepers[1].tunnels), "the second takes over", 15)
    ends[1].set()
    for thread in threads:
        thread.join(20)


def test_while_redis_is_away_who_connects_is_let_go(vps, keep, port, settings):
    keeper = keep()
    wait_until(lambda: stands(keeper, vps), "it stands", 15)
    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        assert sock.recv(1) == b""
    assert stands(keeper, vps)


def test_one_that_went_away_meanwhile_is_let_go_too(settings):
    """The connection may have ended while Redis was tried."""

    class Gone:
        closings = 0

        def close(self):
            self.closings += 1
            raise EOFError

    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    channel = Gone()
    tunnels.Tunnel._carry(SimpleNamespace(_vps_id=1), channel)
    assert channel.closings == 1


@pytest.mark.parametrize(
    ("own", "url"),
    [
        ("unix:///run/redis.sock", "redis://{user}@127.0.0.1:16379"),
        ("redis://:pw@10.0.0.1:6379/2", "redis://{user}@127.0.0.1:16379"),
        ("rediss://:pw@redis.example:6380?ssl_ca_certs=/x", "rediss://{user}@127.0.0.1:16379"),
    ],
)
def test_its_address_is_loopback_with_tls_where_redis_speaks_it(vps, settings, own, url):
    settings.AGENT_REDIS_PUBLIC_URL = "rediss://elsewhere.example:1"
    settings.AGENT_REDIS_URL = own
    assert redis_users._at(vps, "u:p") == url.format(user="u:p")


def test_bytes_go_both_ways_until_either_side_ends():
    (ours, one), (theirs, other) = socket.socketpair(), socket.socketpair()
    thread = threading.Thread(target=join, args=(one, other))
    thread.start()
    ours.sendall(b"there")
    assert theirs.recv(5) == b"there"
    theirs.sendall(b"back")
    assert ours.recv(4) == b"back"
    ours.close()
    assert theirs.recv(1) == b""
    thread.join(10)
    theirs.close()


@pytest.mark.parametrize(("failures", "longest"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1000, 30.0)])
def test_pauses_grow_and_are_spread(failures, longest):
    assert pause_s(failures, 0.0) == longest
    assert pause_s(failures, 1.0) == longest / 2
