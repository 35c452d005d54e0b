"""RTMPS: the certificate is checked, and a refused one is named."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab.processes import wait_until

from .clips import clip
from .driver import RunningPlayout, destination, items
from .servers import NginxRtmp, tcp_server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for localhost, key and certificate in one file."""
    home = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(home / "key"),
        "-out",
        str(home / "crt"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    both = home / "both.pem"
    both.write_text((home / "key").read_text() + (home / "crt").read_text())
    return both


@pytest.fixture
def rtmps(certificate: Path) -> Iterator[tuple[NginxRtmp, int]]:
    """nginx-rtmp and the port of a TLS terminator before it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with NginxRtmp() as server, tcp_server(lambda client: _terminate(context, client, server.port)) as port:
        yield server, port


def _terminate(context: ssl.SSLContext, client: socket.socket, port: int) -> None:
    with (
        context.wrap_socket(client, server_side=True) as secure,
        socket.create_connection(("127.0.0.1", port)) as upstream,
    ):
        thread = threading.Thread(target=_copy, args=(upstream, secure))
        thread.start()
        _copy(secure, upstream)
        upstream.close()
        thread.join(5)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


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
