"""Each destination by itself: what is wrong with one is said of that one and felt by no other."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from agent.playout.flv import VIDEO
from agent.playout.target import is_public
from lab.ports import free_port
from lab.processes import ROOM, wait_until
from lab.receiver import Receiver

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, black_hole, deaf_port, http_server, relay_until, tcp_server
from .test_rtmp import CONNECTED, S0S1S2, control
from .wire import recording_server, says, sends_media


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


def refusals(server: NginxRtmp) -> int:
    return server.log().lower().count("already publishing")


def test_told_that_the_key_is_free_it_tries_at_once(server: NginxRtmp, tmp_path: Path) -> None:
    places = [destination(1, server.url, "same"), destination(2, server.url, "same")]
    with RunningPlayout(tmp_path, items(clip()), places) as playout:
        wait_until(lambda: refusals(server) == 2, "refused twice: now it waits for a minute", 6)
        first = next(number for number in (1, 2) if playout.state(number) == "live")
        playout.reload(destinations=[place | {"enabled": place["id"] != first} for place in places])
        playout.wait_for_state(first, "disabled", 4)
        assert playout.order("retry") == {"ok": True}
        playout.wait_for_state(3 - first, "live", 4)


def test_a_run_that_was_moved_waits_for_its_key_without_a_word(server: NginxRtmp, tmp_path: Path) -> None:
    """Where it was before it may still be pushed, and nobody who could tell can be heard."""
    place = destination(1, server.url, "same")
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    with RunningPlayout(before, items(clip()), [place]) as stale:
        stale.wait_for_state(1, "live", 5)
        with RunningPlayout(after, items(clip()), [place], epoch=2) as moved:
            wait_until(lambda: refusals(server) >= 4, "asked again and again", 8)
            stale.order("stop")
            moved.wait_for_state(1, "live", 4)


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


def test_nginx_on_this_server_is_reached_whatever_else_may_be_and_says_what_it_cannot_know(tmp_path: Path) -> None:
    with NginxRtmp() as server:
        place = destination(1, server.url, via="nginx")
        with RunningPlayout(tmp_path, items(clip()), [place], reach_private=False) as playout:
            playout.wait_for_state(1, "live", 4)
            assert "does not tell what the platform answers" in playout.destination(1)["reason"]


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


def _floods(connection: socket.socket) -> None:
    """Pings without end, as soon as anybody has said hello."""
    connection.sendall(S0S1S2 + CONNECTED)
    while True:
        connection.sendall(control(4, b"\0\6abcd") * 500)


def _told(playout: RunningPlayout, number: int, state: str, reason: str) -> bool:
    now = playout.destination(number)
    return now["state"] == state and reason in (now["reason"] or "")


def test_bad_ones_of_every_kind_are_named_and_none_delays_the_good_one(tmp_path: Path) -> None:
    """All at the same time, so that what each does to the loop adds up."""
    with ExitStack() as stack:
        enter = stack.enter_context
        good, nginx = enter(Receiver()), enter(NginxRtmp())
        gatekeeper = enter(http_server(403))
        guarded = enter(NginxRtmp(application=f"on_publish http://127.0.0.1:{gatekeeper}/;"))
        denying = enter(NginxRtmp(application="deny publish all;"))
        expected = {
            2: (f"rtmp://127.0.0.1:{enter(deaf_port())}/live", "reconnecting", "no answer from 127.0.0.1"),
            3: (f"rtmp://127.0.0.1:{enter(black_hole())}/live", "reconnecting", "says nothing for 10 s"),
            4: (nginx.url.replace("/live", "/nothing"), "reconnecting", "is the application right?"),
            5: (guarded.url, "refused", "when it was given the stream key"),
            6: (denying.url, "reconnecting", "accepted the stream and at once closed the connection"),
            7: (enter(recording_server(says("connect")))[0], "reconnecting", "closed the connection on «connect»"),
            8: (enter(recording_server(says("publish")))[0], "refused", "when it was given the stream key"),
            9: (enter(recording_server(sends_media(100)))[0], "reconnecting", "closed the connection"),
            10: (f"rtmp://127.0.0.1:{enter(tcp_server(_floods))}/live", "reconnecting", "sends far more than"),
            11: (f"rtmp://127.0.0.1:{free_port()}/live", "reconnecting", "connection refused"),
            12: ("rtmp://no-such-host.invalid/live", "reconnecting", "cannot be resolved"),
        }
        places = [destination(number, url) for number, (url, _, _) in expected.items()]
        with RunningPlayout(tmp_path, items(clip()), [destination(1, good.url("good")), *places]) as playout:
            playout.wait_for_state(1, "live", 4)
            assert playout.state(3) == "connecting", "a silent server has its time"
            for number, (_, state, reason) in expected.items():
                wait_until(partial(_told, playout, number, state, reason), f"{state}: {reason}", 15)
            assert playout.state(1) == "live"
        _steady(good)


def test_one_that_closes_again_and_again_is_asked_less_and_less(tmp_path: Path) -> None:
    with recording_server(sends_media(60)) as (url, talks):
        with RunningPlayout(tmp_path, items(clip()), [destination(1, url)]) as playout:
            wait_until(lambda: playout.destination(1)["reconnects"] >= 2, "two reconnects")
            assert playout.destination(1)["bytes_acked"] > 0
        assert all(talk.media()[2].payload[0] >> 4 == 1 for talk in talks if len(talk.media()) > 2), "a key frame first"


def test_after_an_outage_of_seconds_it_is_back_in_seconds_and_the_others_lost_nothing(tmp_path: Path) -> None:
    with Receiver() as steady, NginxRtmp() as shaky:
        places = [destination(1, steady.url("good")), destination(2, shaky.url)]
        with RunningPlayout(tmp_path, items(clip()), places) as playout:
            playout.wait_for_state(2, "live", 4)
            shaky.stop()
            began = time.monotonic()
            wait_until(lambda: time.monotonic() - began > 4 and playout.state(2) == "reconnecting", "an outage of 4 s")
            assert "connection refused" in playout.destination(2)["reason"]
            shaky.start()
            playout.wait_for_state(2, "live", 3)
            assert playout.destination(1)["drops"] == 0
        _steady(steady)


def _steady(receiver: Receiver) -> None:
    """One connection, every frame of it, and never a silence that a viewer would see."""
    (publish,) = receiver.of("good")
    assert publish.steps_back() == 0
    assert publish.max_gap_s() < 0.3 * ROOM
    stamps = [arrival.timestamp for arrival in publish.frames if arrival.kind == VIDEO]
    assert max(after - before for before, after in pairwise(stamps)) <= 100


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
    assert server.log().count("publish: name='another'") == 2
    _undisturbed(server)
    for file in server.recordings.iterdir():
        assert recordings.read(file).media[0].is_key_frame
