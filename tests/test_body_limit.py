"""A real Daphne is sent bodies larger than any page takes: it answers early and keeps none of them."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from PIL import Image

from lab.webserver import Browser, WebServer
from media_library.stills import MOST_BYTES

_BLOCK = bytes(1024**2)
_PLENTY = 300
"""Blocks: far more than the process may grow by."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    server = WebServer(tmp_path_factory.mktemp("web"), settings.REDIS_URL)
    server.session_key = server.prepare()  # type: ignore[attr-defined]
    server.start()
    yield server
    server.stop()


def test_a_declared_body_is_refused_before_it_is_read(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(_head(server, f"Content-Length: {10**12}"))
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than" in answer


def test_the_refusal_reaches_somebody_who_is_still_sending(server):
    before = server.memory_mb()
    status, sent = _send(server, f"Content-Length: {10**12}", lambda block: block)
    assert status == b"413"
    assert sent <= _PLENTY
    assert server.memory_mb() - before < 30


def test_a_body_without_a_length_is_refused_once_it_is_too_long(server):
    before = server.memory_mb()
    framed = f"{len(_BLOCK):x}\r\n".encode() + _BLOCK + b"\r\n"
    status, _ = _send(server, "Transfer-Encoding: chunked", lambda _block: framed)
    assert status == b"413"
    assert server.memory_mb() - before < 60


def test_the_connection_of_somebody_who_goes_on_is_cut(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(_head(server, f"Content-Length: {10**12}"))
        received = b""
        with suppress(ConnectionError):
            while more := client.recv(4096):
                received += more
    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_whole_chunk_of_an_upload_still_passes(server):
    browser = Browser(server, server.session_key)
    data = bytes(settings.UPLOAD_CHUNK_BYTES)
    url = browser.create("long.mp4", len(data) + 1)
    assert browser.chunk(url, 0, data).status_code == 204
    assert browser.offset(url) == len(data)
    assert browser.chunk(url, len(data), bytes(len(data) + 1024)).status_code == 413
    assert browser.offset(url) == len(data)


def test_a_picture_for_a_slate_passes_with_the_form_around_it(server):
    """The form of a stream is larger than any other: a picture as large as may be, and a playlist of 1,000."""
    browser = Browser(server, server.session_key)
    noise = io.BytesIO()
    Image.frombytes("RGB", (1280, 1280), os.urandom(1280 * 1280 * 3)).save(noise, "PNG", compress_level=0)
    picture = noise.getvalue()
    assert 4.5 * 1024**2 < len(picture) < MOST_BYTES
    form = [("title", "x"), ("slate", "picture"), ("do", "up:1"), *[("playlist", str(n)) for n in range(1000)]]
    address = f"{server.url}/streams/new"
    answer = browser.post(address, data=form, files={"slate_picture": ("sea.png", picture)}, timeout=60)
    assert answer.status_code == 200
    assert "Choose the picture again" in answer.text
    larger = browser.post(address, data=form, files={"slate_picture": ("sea.png", bytes(12 * 1024**2))}, timeout=60)
    assert larger.status_code == 413


def test_nothing_of_a_refused_body_stays_on_the_disk(server, tmp_path: Path):
    _send(server, f"Content-Length: {10**12}", lambda block: block)
    open_files = Path(f"/proc/{server.process.pid}/fd").iterdir()
    sizes = [link.stat().st_size for link in open_files if "(deleted)" in str(link.resolve())]
    assert max(sizes, default=0) < 2 * 1024**2


def _head(server: WebServer, framing: str) -> bytes:
    lines = ("PATCH /library/uploads/ HTTP/1.1", f"Host: 127.0.0.1:{server.port}", framing)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _send(server: WebServer, framing: str, frame) -> tuple[bytes, int]:
    """Sends blocks until there is an answer; its status, and how many blocks went out."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(_head(server, framing))
        answered, head = threading.Event(), bytearray()
        reader = threading.Thread(target=_read, args=(client, head, answered))
        reader.start()
        sent = 0
        while sent < _PLENTY and not answered.is_set():
            client.sendall(frame(_BLOCK))
            sent += 1
        assert answered.wait(10)
        reader.join(10)
    return bytes(head).split(b" ")[1], sent


def _read(client: socket.socket, head: bytearray, answered: threading.Event) -> None:
    head += client.recv(4096)
    answered.set()
