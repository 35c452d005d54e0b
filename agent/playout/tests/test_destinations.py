"""Each destination by itself: what is wrong with one is said of that one and felt by no other."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.playout.flv import VIDEO
from agent.playout.target import is_public
from lab.ports import free_port
from lab.processes import wait_until

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, black_hole, relay_until, tcp_server


@pytest.fixture
def server() -> Iterator[NginxRtmp]:
    with NginxRtmp() as running:
        yield running


def _undisturbed(server: NginxRtmp, key: str = "key1") -> None:
    """One connection, and no hole in what came over it."""
    (file,) = server.recordings_of(key)
    got = recordings.read(file)
    assert max(got.gaps(VIDEO)) <= 100
    assert min(got.gaps(VIDEO)) >= 0


def test_live_is_said_once_bytes_have_arrived(server: NginxRtmp, tmp_path: Path) -> None:
    with RunningPlayout(tmp_path, items(clip()), [destination(1, server.url)]) as playout:
        seen = playout.watch_until(lambda status: status["destinations"][0]["state"] == "live", 3)
    place = seen[-1]["destinations"][0]
    assert place["bytes_acked"] > 3073
    assert place["reason"] is None


def test_a_server_that_says_nothing_is_named_and_disturbs_nobody(server: NginxRtmp, tmp_path: Path) -> None:
    with black_hole() as port:
        places = [destination(1, server.url), destination(2, f"rtmp://127.0.0.1:{port}/live")]
        with RunningPlayout(tmp_path, items(clip()), places) as playout:
            playout.wait_for_state(1, "live", 4)
            assert playout.state(2) == "connecting"
            playout.wait_for_state(2, "reconnecting", 14)
            assert "says nothing for 10 s" in playout.destination(2)["reason"]
    _undisturbed(server)


def test_a_refused_connection_is_named_and_retried(server: NginxRtmp, tmp_path: Path) -> None:
    port = free_port()
    places = [destination(1, server.url), destination(2, f"rtmp://127.0.0.1:{port}/live")]
    with RunningPlayout(tmp_path, items(clip()), places) as playout:
        playout.wait_for_state(1, "live", 3)
        playout.wait_for_state(2, "reconnecting", 3)
        assert playout.destination(2)["reason"].endswith("connection refused")
        with NginxRtmp(port=port):
            playout.wait_for_state(2, "live", 6)
    _undisturbed(server)


def test_a_key_in_use_is_refused_and_not_hammered(server: NginxRtmp, tmp_path: Path) -> None:
    places = [destination(1, server.url, "same"), destination(2, server.url, "same")]
    with RunningPlayout(tmp_path, items(clip()), places) as playout:
        wait_until(
            lambda: sorted((playout.state(1), playout.state(2))) == ["live", "refused"], "one live, one refused", 5
        )
        refused = next(each for each in playout.status()["destinations"] if each["state"] == "refused")
        assert "BadName" in refused["reason"]
    assert server.log().count("already publishing") + server.log().count("Already publishing") <= 2


def _ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _ipv6(), reason="this machine has no IPv6 on loopback")
def test_an_ipv6_address_is_reached(tmp_path: Path) -> None:
    port = free_port()
    with NginxRtmp(server=f"listen [::1]:{port};") as six:
        place = destination(1, f"rtmp://[::1]:{port}/live")
        with RunningPlayout(tmp_path, items(clip()), [place]) as playout:
            playout.wait_for_state(1, "live", 4)
        assert six.recordings_of("key1")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_private_address_is_not_even_connected_to(tmp_path: Path, host: str) -> None:
    asked: list[bytes] = []
    with tcp_server(lambda client: asked.append(client.recv(1))) as port:
        place = destination(1, f"rtmp://{host}:{port}/live")
        with RunningPlayout(tmp_path, items(clip()), [place], reach_private=False) as playout:
            playout.wait_for_state(1, "failed", 4)
            assert "private network" in playout.destination(1)["reason"]
    assert asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("127.0.0.1", False), ("10.0.0.1", False), ("::1", False),
        ("169.254.169.254", False), ("fe80::1%eth0", False), ("::ffff:127.0.0.1", False), ("224.0.0.1", False),
        ("", False),
    ],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_name_that_does_not_resolve_is_named(server: NginxRtmp, tmp_path: Path) -> None:
    places = [destination(1, server.url), destination(2, "rtmp://no-such-host.invalid/live")]
    with RunningPlayout(tmp_path, items(clip()), places) as playout:
        playout.wait_for_state(1, "live", 4)
        wait_until(lambda: "cannot be resolved" in (playout.destination(2)["reason"] or ""), "the reason", 12)
    _undisturbed(server)


@pytest.mark.parametrize("url", ["http://127.0.0.1/live", "rtmp://127.0.0.1", "rtmp://127.0.0.1:70000/live"])
def test_a_url_nobody_can_publish_to_has_failed(server: NginxRtmp, tmp_path: Path, url: str) -> None:
    with RunningPlayout(tmp_path, items(clip()), [destination(1, server.url), destination(2, url)]) as playout:
        playout.wait_for_state(1, "live", 4)
        assert playout.state(2) == "failed"


def test_a_killed_server_is_found_again(tmp_path: Path) -> None:
    with NginxRtmp() as steady, NginxRtmp() as shaky:
        places = [destination(1, steady.url), destination(2, shaky.url)]
        with RunningPlayout(tmp_path, items(clip()), places) as playout:
            playout.wait_for_state(2, "live", 4)
            shaky.stop()
            playout.wait_for_state(2, "reconnecting", 2)
            shaky.start()
            playout.wait_for_state(2, "live", 4)
            assert playout.destination(2)["reconnects"] == 1
        _undisturbed(steady)
        assert recordings.read(shaky.recordings_of("key2")[-1]).media[0].is_key_frame


def test_a_reader_that_stops_reading_drops_and_disturbs_nobody(tmp_path: Path) -> None:
    """A server behind a relay that stops relaying: the queue is bounded, then the connection is given up."""
    with NginxRtmp() as server:
        stuck = threading.Event()
        with relay_until(stuck, server.port) as port:
            places = [destination(1, server.url), destination(2, f"rtmp://127.0.0.1:{port}/live")]
            with RunningPlayout(tmp_path, items(clip(seconds=3)), places) as playout:
                playout.wait_for_state(2, "live", 4)
                stuck.set()
                wait_until(lambda: "has taken no data" in (playout.destination(2)["reason"] or ""), "the reason", 25)
                assert playout.state(1) == "live"
        _undisturbed(server)


def test_reload_adds_removes_disables_and_rekeys_without_touching_others(server: NginxRtmp, tmp_path: Path) -> None:
    first = destination(1, server.url)
    with RunningPlayout(tmp_path, items(clip()), [first]) as playout:
        playout.wait_for_state(1, "live")
        playout.reload(destinations=[first, destination(2, server.url)])
        playout.wait_for_state(2, "live", 4)
        playout.reload(destinations=[first, destination(2, server.url, "another")])
        wait_until(lambda: server.recordings_of("another"), "the new key publishing")
        playout.wait_for_state(2, "live", 4)
        playout.reload(destinations=[first, destination(2, server.url, "another", enabled=False)])
        assert playout.state(2) == "disabled"
        playout.reload(destinations=[first, destination(2, server.url, "another")])
        playout.wait_for_state(2, "live", 4)
        playout.reload(destinations=[first])
        assert [each["id"] for each in playout.status()["destinations"]] == [1]
        assert playout.destination(1)["reconnects"] == 0
    assert len(server.recordings_of("another")) == 2
    _undisturbed(server)
    for file in server.recordings.iterdir():
        assert recordings.read(file).media[0].is_key_frame
