"""RTMPS: the certificate is checked, and a refused one is named."""

from pathlib import Path

import pytest

from lab.processes import wait_until

from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, tcp_server


def test_a_trusted_certificate_is_published_to(rtmps: tuple[NginxRtmp, int], certificate: Path, tmp_path: Path) -> None:
    server, port = rtmps
    place = destination(1, f"rtmps://localhost:{port}/live")
    with RunningPlayout(tmp_path, items(clip()), [place], ca_file=str(certificate)) as playout:
        playout.wait_for_state(1, "live")
        playout.order("stop")
        assert playout.exit(2)["reason"] == "stopped"
    wait_until(lambda: server.recordings_of("key1"), "a recording")


@pytest.mark.parametrize(
    ("host", "trusted", "reason"),
    [("localhost", False, "self-signed certificate"), ("127.0.0.1", True, "IP address mismatch")],
)
def test_a_certificate_that_is_not_right_has_failed(
    rtmps: tuple[NginxRtmp, int], certificate: Path, tmp_path: Path, host: str, trusted: bool, reason: str
) -> None:
    _, port = rtmps
    place = destination(1, f"rtmps://{host}:{port}/live")
    ca_file = str(certificate) if trusted else None
    with RunningPlayout(tmp_path, items(clip()), [place], ca_file=ca_file) as playout:
        playout.wait_for_state(1, "failed", 4)
        assert reason in playout.destination(1)["reason"]


def test_a_server_without_tls_is_named(tmp_path: Path) -> None:
    with tcp_server(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request")) as port:
        place = destination(1, f"rtmps://localhost:{port}/live")
        with RunningPlayout(tmp_path, items(clip()), [place]) as playout:
            playout.wait_for_state(1, "reconnecting", 4)
            assert "does not speak TLS" in playout.destination(1)["reason"]


def test_a_trust_file_that_is_missing_is_named(tmp_path: Path) -> None:
    place = destination(1, "rtmps://localhost:1/live")
    with RunningPlayout(tmp_path, items(clip()), [place], ca_file="/nowhere.pem") as playout:
        playout.wait_for_state(1, "failed", 4)
        assert "ca_file" in playout.destination(1)["reason"]
