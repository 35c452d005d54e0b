"""A real Daphne is killed in the middle of an upload; the same upload goes on."""

import os
import socket
import threading

import pytest
import requests
from django.conf import settings as django_settings

from lab.webserver import Browser, WebServer

CHUNK = 1024**2


@pytest.fixture
def server(tmp_path):
    server = WebServer(tmp_path / "web", django_settings.REDIS_URL)
    yield server
    server.stop()


def test_it_goes_on_after_the_server_was_killed(server):
    browser = Browser(server, server.prepare())
    server.start()
    data = os.urandom(5 * CHUNK + 12345)
    url = browser.create("long.mp4", len(data))
    assert browser.chunk(url, 0, data[:CHUNK]).status_code == 204
    assert browser.chunk(url, CHUNK, data[CHUNK : 2 * CHUNK]).status_code == 204

    halfway = threading.Event()

    def stalls():
        """Sends half a chunk and no more."""
        yield data[2 * CHUNK : 2 * CHUNK + CHUNK // 2]
        halfway.set()
        never.wait(30)

    never = threading.Event()
    sender = threading.Thread(target=send_ignoring_the_end, args=(browser, url, stalls()))
    sender.start()
    assert halfway.wait(10)
    server.kill()
    never.set()
    sender.join(20)
    with pytest.raises(requests.ConnectionError):
        browser.offset(url)

    server.start()
    offset = browser.offset(url)
    assert offset == 2 * CHUNK
    assert browser.chunk(url, offset + 1, b"x").status_code == 409
    while offset < len(data):
        offset = int(browser.chunk(url, offset, data[offset : offset + CHUNK]).headers["Upload-Offset"])
    upload_id = url.rstrip("/").rsplit("/", 1)[1]
    assert (server.home / "uploads" / upload_id).read_bytes() == data
    assert browser.get(f"{server.url}/library/uploads/", timeout=10).json()["uploads"] == []


def send_ignoring_the_end(browser, url, body):
    """The declared length is a whole chunk; the connection breaks before it is there."""
    host, port = "127.0.0.1", browser.server.port
    with socket.create_connection((host, port), timeout=10) as raw:
        head = [
            f"PATCH {url.removeprefix(browser.server.url)} HTTP/1.1",
            f"Host: {host}:{port}",
            f"Cookie: sessionid={browser.cookies['sessionid']}; csrftoken={'c' * 32}",
            f"X-CSRFToken: {'c' * 32}",
            "Tus-Resumable: 1.0.0",
            f"Upload-Offset: {2 * CHUNK}",
            "Content-Type: application/offset+octet-stream",
            f"Content-Length: {CHUNK}",
        ]
        raw.sendall("\r\n".join([*head, "", ""]).encode())
        for part in body:
            raw.sendall(part)
