"""Live inputs reach what is public and nothing else, whoever leads them there. 127.0.0.2 plays the private network."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from agent.playout import gate
from agent.playout.gate import Gate

from .live_inputs import live_item, to_hls, to_rtmp, wait_for_segments, web_server
from .servers import NginxRtmp, tcp_server
from .test_live import Played, play

INSIDE = "127.0.0.2"


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "is_public", lambda address: address != INSIDE)


@pytest.fixture
def inside() -> Iterator[tuple[str, list[bytes]]]:
    """A server of the private network, and what it was asked."""
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(1000))

    with tcp_server(serve, INSIDE) as port:
        yield f"http://{INSIDE}:{port}", asked


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("certificate")
    both = home / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(home / "key"), "-out", str(home / "crt")]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text((home / "key").read_text() + (home / "crt").read_text())
    return both


async def _on_air(played: Played) -> None:
    await played.on_air(1, 20)
    await played.for_a_while(2)


async def _kept_out(played: Played) -> None:
    await played.until(lambda: played.explained, "a reason", 25)
    assert played.reason == "the live input leads inside a private network"
    assert played.programme.on_air is None


def _public_only() -> bool:
    return False


def test_hls_goes_through_it(tmp_path: Path) -> None:
    with to_hls(tmp_path), web_server(tmp_path) as server:
        wait_for_segments(tmp_path)
        play([live_item(1, f"{server.url}/live.m3u8?a=b")], _on_air, reach_private=_public_only)
        assert "/live.m3u8?a=b" in server.asked


def test_rtmp_by_name_goes_to_the_address_that_was_checked() -> None:
    with NginxRtmp() as server:
        url = f"{server.url.replace('127.0.0.1', 'localhost')}/named"
        with to_rtmp(f"{server.url}/named"):
            play([live_item(1, url)], _on_air, reach_private=_public_only)
        assert f"rtmp://localhost:{server.port}/live" in server.log(), "the name is said, virtual hosts need it"


@pytest.mark.parametrize("scheme", ["rtmp", "http", "https", "rtmps"])
def test_an_address_inside_is_refused_before_anything_is_asked(scheme: str, inside: tuple[str, list[bytes]]) -> None:
    url, asked = inside
    play([live_item(1, url.replace("http", scheme) + "/live/x")], _kept_out, reach_private=_public_only)
    assert asked == []


def test_a_playlist_that_leads_inside_is_refused(tmp_path: Path, inside: tuple[str, list[bytes]]) -> None:
    url, asked = inside
    (tmp_path / "live.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}/control/drop.ts\n")
    with web_server(tmp_path) as server:
        play([live_item(1, f"{server.url}/live.m3u8")], _kept_out, reach_private=_public_only)
    assert asked == []


def test_a_redirect_that_leads_inside_is_refused(tmp_path: Path, inside: tuple[str, list[bytes]]) -> None:
    url, asked = inside
    with web_server(tmp_path) as server:
        server.redirects["/live.m3u8"] = f"{url}/control/drop"
        play([live_item(1, f"{server.url}/live.m3u8")], _kept_out, reach_private=_public_only)
        assert server.asked
    assert asked == []


def test_https_and_rtmps_go_through_it_and_certificates_are_checked(certificate: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    trusted = {"reach_private": _public_only, "ca_file": lambda: str(certificate)}
    with to_hls(tmp_path), web_server(tmp_path) as web, NginxRtmp() as rtmp, to_rtmp(f"{rtmp.url}/tls"):
        wait_for_segments(tmp_path)
        with _terminated(context, web.server_address[1]) as port:
            play([live_item(1, f"https://localhost:{port}/live.m3u8")], _on_air, **trusted)
        with _terminated(context, rtmp.port) as port:
            play([live_item(1, f"rtmps://localhost:{port}/live/tls")], _on_air, **trusted)
            play([live_item(1, f"rtmps://localhost:{port}/live/tls")], _distrusted, reach_private=_public_only)


async def _distrusted(played: Played) -> None:
    await played.until(lambda: played.explained, "a reason", 25)
    assert played.reason == "the server's certificate is not valid"


def _terminated(context: ssl.SSLContext, behind: int) -> AbstractContextManager[int]:
    def serve(client: socket.socket) -> None:
        with (
            context.wrap_socket(client, server_side=True) as near,
            socket.create_connection(("127.0.0.1", behind)) as far,
        ):
            back = threading.Thread(target=_copy, args=(far, near))
            back.start()
            _copy(near, far)
            far.shutdown(socket.SHUT_RDWR)
            back.join(5)

    return tcp_server(serve)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := source.recv(65536):
            sink.sendall(data)


@pytest.mark.parametrize(
    ("head", "answer"),
    [
        (b"GET http://127.0.0.2:1/x HTTP/1.1\r\n\r\n", b"HTTP/1.1 403"),
        (b"CONNECT 127.0.0.2:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403"),
        (b"CONNECT no-such-host.invalid:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"CONNECT 127.0.0.1:99999999 HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"CONNECT \xff\xfe..:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"GET ftp://127.0.0.1/x HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"GET /x HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"nonsense\r\n\r\n", b"HTTP/1.1 502"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", b"HTTP/1.1 502"),
        (b"x" * 70_000, b"HTTP/1.1 502"),
    ],
)
def test_what_it_does_not_carry_it_answers(head: bytes, answer: bytes) -> None:
    async def ask() -> bytes:
        proxy = Gate()
        port = int((await proxy.url()).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        said = await asyncio.wait_for(reader.read(100), 20)
        writer.close()
        proxy.close()
        return said

    assert asyncio.run(ask()).startswith(answer)


def test_one_request_per_connection_and_nothing_meant_for_the_proxy_goes_on() -> None:
    got: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        got.append(connection.recv(1000))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")

    async def ask(port: int) -> bytes:
        proxy = Gate()
        reader, writer = await asyncio.open_connection("127.0.0.1", int((await proxy.url()).rpartition(":")[2]))
        request = (
            f"GET http://127.0.0.1:{port}/a?b=c HTTP/1.1\r\nHost: h\r\nProxy-X: y\r\nConnection: keep-alive\r\n\r\n"
        )
        writer.write(request.encode())
        said = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        proxy.close()
        return said

    with tcp_server(serve) as port:
        assert asyncio.run(ask(port)).endswith(b"hello")
    assert got == [b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"]
