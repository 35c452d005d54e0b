"""Destinations pushed by an FFmpeg: as live, as told and as contained as our own."""

import os
import signal
import threading
from pathlib import Path

import imageio_ffmpeg
import pytest

from agent.playout.flv import VIDEO
from lab.ports import free_port
from lab.processes import lives, wait_until
from lab.receiver import Receiver

from . import recordings
from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, relay_until, tcp_server

KEY = "s3cret-key?sign=a=b&x=1"


def _children(playout: RunningPlayout) -> list[int]:
    """FFmpegs of this playout."""
    pid = playout.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _arguments(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _steady(receiver: Receiver, app: str = "steady") -> None:
    """One connection, no step back, and never a silence that a viewer would see."""
    (publish,) = receiver.of(app)
    assert publish.steps_back() == 0
    assert publish.max_gap_s() < 1.5


def test_it_is_live_with_its_key_in_no_list_of_arguments(tmp_path: Path) -> None:
    files = items(clip(), clip("b", size="640x360"))
    with NginxRtmp() as server:
        place = destination(1, server.url, KEY, via="ffmpeg")
        with RunningPlayout(tmp_path, files, [place]) as playout:
            playout.wait_for_state(1, "live", 5)
            (child,) = _children(playout)
            assert "s3cret" not in _arguments(child)
            assert "progress" in _arguments(child)
            wait_until(lambda: not list(tmp_path.glob("ffmpeg-*.opt")), "the file with the key gone")
            wait_until(lambda: playout.status()["items_played"] >= 3, "two boundaries, also through FFmpeg's buffers")
            status = playout.destination(1)
            assert 0 < status["bytes_acked"] <= status["bytes_sent"]
            assert (status["reason"], status["drops"], status["reconnects"]) == (None, 0, 0)
        assert not lives(child)
        (file,) = server.recordings_of("s3cret-key")
        got = recordings.read(file)
        assert len([tag for tag in got.tags if tag.kind == VIDEO and tag.is_codec_header]) >= 3
        assert got.media[0].is_key_frame
        assert min(got.gaps(VIDEO)) >= 0
        assert max(got.gaps(VIDEO)) <= 100
        assert "s3cret" not in playout.log()


def test_ffmpeg_ends_with_its_playout_however_that_ends(tmp_path: Path) -> None:
    stuck = threading.Event()
    with NginxRtmp() as server, relay_until(stuck, server.port) as port:
        place = destination(1, f"rtmp://127.0.0.1:{port}/live", via="ffmpeg")
        with RunningPlayout(tmp_path, items(clip(seconds=3)), [place]) as playout:
            playout.wait_for_state(1, "live", 5)
            (child,) = _children(playout)
            stuck.set()
            playout.process.kill()
            wait_until(lambda: not lives(child), "FFmpeg's end", 2)


def test_an_ffmpeg_that_dies_is_started_again_and_felt_by_nobody(tmp_path: Path) -> None:
    with NginxRtmp() as server, Receiver() as receiver:
        places = [destination(1, receiver.url("steady")), destination(2, server.url, via="ffmpeg")]
        with RunningPlayout(tmp_path, items(clip()), places) as playout:
            playout.wait_for_state(2, "live", 5)
            (child,) = _children(playout)
            os.kill(child, signal.SIGKILL)
            wait_until(lambda: "signal 9" in (playout.destination(2)["reason"] or ""), "the reason", 2)
            playout.wait_for_state(2, "live", 5)
            assert playout.destination(2)["reconnects"] == 1
            assert playout.destination(1)["reconnects"] == 0
        _steady(receiver)


def test_a_reader_that_stops_reading_is_left_and_felt_by_nobody(tmp_path: Path) -> None:
    stuck = threading.Event()
    with NginxRtmp() as server, Receiver() as receiver, relay_until(stuck, server.port) as port:
        places = [destination(1, receiver.url("steady"))]
        places += [destination(2, f"rtmp://127.0.0.1:{port}/live", via="ffmpeg")]
        with RunningPlayout(tmp_path, items(clip(seconds=3)), places) as playout:
            playout.wait_for_state(2, "live", 5)
            (child,) = _children(playout)
            stuck.set()
            wait_until(lambda: "has taken no data" in (playout.destination(2)["reason"] or ""), "the reason", 25)
            wait_until(lambda: not lives(child), "the end of the stuck FFmpeg")
            assert playout.state(1) == "live"
        _steady(receiver)


def test_stop_does_not_wait_for_a_stuck_ffmpeg(tmp_path: Path) -> None:
    stuck = threading.Event()
    with NginxRtmp() as server, relay_until(stuck, server.port) as port:
        place = destination(1, f"rtmp://127.0.0.1:{port}/live", via="ffmpeg")
        with RunningPlayout(tmp_path, items(clip(seconds=3)), [place]) as playout:
            playout.wait_for_state(1, "live", 5)
            (child,) = _children(playout)
            stuck.set()
            wait_until(lambda: playout.destination(1)["lag_ms"] > 1500, "a queue")
            playout.order("stop")
            assert playout.exit(3)["reason"] == "stopped"
            assert not lives(child)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    """Six bad ones beside a good one, which feels none of them."""
    with (
        NginxRtmp() as server,
        Receiver() as receiver,
        tcp_server(lambda client: None) as closing,
        tcp_server(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as web,
    ):
        wrong_app = server.url.replace("/live", "/nothing")
        expected = {
            2: ("rtmp://no-such-host.invalid/live", "reconnecting", "cannot be resolved"),
            3: (f"rtmp://127.0.0.1:{free_port()}/live", "reconnecting", "connection refused"),
            4: (wrong_app, "reconnecting", "is the application right?"),
            5: (f"rtmp://127.0.0.1:{closing}/live", "reconnecting", "during the handshake"),
            6: (f"rtmps://127.0.0.1:{web}/live", "reconnecting", "does not speak TLS"),
            7: ("rtmp://127.0.0.1:70000/live", "failed", "cannot be read"),
        }
        places = [destination(number, url, via="ffmpeg") for number, (url, _, _) in expected.items()]
        with RunningPlayout(tmp_path, items(clip()), [destination(1, receiver.url("steady")), *places]) as playout:
            for number, (_, state, reason) in expected.items():
                wait_until(lambda n=number, r=reason: r in (playout.destination(n)["reason"] or ""), reason, 15)
                assert playout.state(number) == state
            assert playout.state(1) == "live"
        _steady(receiver)


def test_a_key_in_use_is_refused_by_name(tmp_path: Path) -> None:
    with NginxRtmp() as server:
        places = [destination(1, server.url, "same"), destination(2, server.url, "same", via="ffmpeg", enabled=False)]
        with RunningPlayout(tmp_path, items(clip()), places) as playout:
            playout.wait_for_state(1, "live", 4)
            playout.reload(destinations=[places[0], places[1] | {"enabled": True}])
            playout.wait_for_state(2, "refused", 8)
            assert playout.destination(2)["reason"] == "refused by the server: Already publishing"
            assert playout.state(1) == "live"


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [("localhost", True, None), ("localhost", False, "Peer certificate failed"), ("127.0.0.1", True, "does not match")],
)
def test_a_certificate_is_checked(
    rtmps: tuple[NginxRtmp, int], certificate: Path, tmp_path: Path, host: str, trusted: bool, reason: str | None
) -> None:
    place = destination(1, f"rtmps://{host}:{rtmps[1]}/live", via="ffmpeg")
    ca_file = str(certificate) if trusted else None
    with RunningPlayout(tmp_path, items(clip()), [place], ca_file=ca_file) as playout:
        playout.wait_for_state(1, "failed" if reason else "live", 6)
        assert reason is None or reason in playout.destination(1)["reason"]


def test_an_ipv6_address_is_reached(tmp_path: Path) -> None:
    port = free_port()
    with NginxRtmp(server=f"listen [::1]:{port};") as six:
        place = destination(1, f"rtmp://[::1]:{port}/live", via="ffmpeg")
        with RunningPlayout(tmp_path, items(clip()), [place]) as playout:
            playout.wait_for_state(1, "live", 5)
        assert six.recordings_of("key1")


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps"])
def test_a_private_address_is_not_even_connected_to(tmp_path: Path, scheme: str) -> None:
    asked: list[bytes] = []
    with tcp_server(lambda client: asked.append(client.recv(1))) as port:
        place = destination(1, f"{scheme}://localhost:{port}/live", via="ffmpeg")
        with RunningPlayout(tmp_path, items(clip()), [place], reach_private=False) as playout:
            playout.wait_for_state(1, "failed", 4)
            assert "private network" in playout.destination(1)["reason"]
    assert asked == []


@pytest.mark.parametrize(
    ("program", "reason"),
    [("/nowhere/ffmpeg", "cannot be started"), (imageio_ffmpeg.get_ffmpeg_exe(), "everybody on the server can read")],
    ids=["none", "one that forgets a file of options"],
)
def test_an_ffmpeg_that_will_not_do_is_named(tmp_path: Path, program: str, reason: str) -> None:
    place = destination(1, "rtmp://127.0.0.1:1/live", via="ffmpeg")
    with RunningPlayout(tmp_path, items(clip()), [place], ffmpeg=program) as playout:
        playout.wait_for_state(1, "failed", 6)
        assert reason in playout.destination(1)["reason"]
