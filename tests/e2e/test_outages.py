"""What breaks around a stream on air: Redis stopped, hung and started again, the web process and the agent told to end
under work. And one request's id, followed from the click to the agent's log."""

from __future__ import annotations

import base64
import os
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import pytest
import requests

from lab.processes import ROOM, wait_until
from lab.valkey import Valkey
from tests.e2e import houses
from tests.e2e.houses import House

pytestmark = pytest.mark.e2e

TOKEN = "t0ken-for-tests"
AWAY = "(Redis) does not answer"
ENDS_WITHIN_S = 8.0
SERVICE_RESTART = 1012
SECOND_STREAM = """
from accounts.models import User
from streams import actions
from streams.models import Destination, Stream
first = Stream.objects.get(pk={pk})
place = Destination(owner=first.owner, name="Second", url="{url}")
place.set_key("second-key")
place.save()
copy = actions.duplicate(first, first.owner)
copy.outputs.all().delete()
copy.outputs.create(destination=place)
print(copy.pk)
"""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with houses.on_air({"METRICS_TOKEN": TOKEN}) as house:
        wait_until(house.is_ready, "everything was seen", 30)
        yield house


class Socket:
    """A WebSocket by hand: what a browser's would hear."""

    def __init__(self, house: House, path: str) -> None:
        port = house.product.plan.web_port
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self._sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nOrigin: {house.product.url}\r\n"
            f"Cookie: {house.cookie()}\r\n\r\n".encode()
        )
        self._file = self._sock.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline().strip():
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()
        self._sock.close()

    def frame(self) -> tuple[int, bytes]:
        """The next one: its opcode and what it holds."""
        first, second = self._file.read(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._file.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._file.read(8))
        return first & 0x0F, self._file.read(size)

    def until(self, wanted: Callable[[int, bytes], bool], limit_s: float) -> bytes:
        deadline = time.monotonic() + limit_s * ROOM
        while time.monotonic() < deadline:
            opcode, body = self.frame()
            if wanted(opcode, body):
                return body
        raise TimeoutError("no such frame")


@contextmanager
def stopped(valkey: Valkey) -> Iterator[None]:
    """Redis ends, and is there again at the end, with what it had saved."""
    valkey.stop()
    try:
        yield
    finally:
        valkey.start()


@contextmanager
def hanging(valkey: Valkey) -> Iterator[None]:
    assert valkey._process is not None
    os.kill(valkey._process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(valkey._process.pid, signal.SIGCONT)


def timed(act: Callable[[], requests.Response], limit_s: float) -> requests.Response:
    began = time.monotonic()
    answer = act()
    assert time.monotonic() - began < limit_s * ROOM
    return answer


# ------------------------------------------------------------------------------------------------ one request


def test_a_request_is_found_again_in_every_log_it_touched(house: House) -> None:
    second = second_stream(house)
    for verb, state in (("start", "STREAMING"), ("stop", "INACTIVE")):
        order(house, second, verb)
        wait_until(lambda state=state: house.state(second)["status"] == state, f"it is {state}", 40)
        said = re.findall(rf"request='POST /api/streams/{second}/{verb}' request_id=([0-9a-f-]+)", house.log("web"))
        for name in ("worker", "agent1"):
            wait_until(lambda name=name, said=said: said[0] in house.log(name), f"{verb} is in the log of {name}", 20)


def order(house: House, pk: int, verb: str) -> None:
    answer = house.post(f"/api/streams/{pk}/{verb}")
    assert answer.status_code == 200, answer.text


def second_stream(house: House) -> int:
    code = SECOND_STREAM.format(pk=house.pk, url=house.receiver.url("three"))
    return int(house.product.manage("shell", "--no-imports", "-v", "0", "-c", code).split()[-1])


# ------------------------------------------------------------------------------------------------ Redis


def test_redis_stopped_pages_work_streams_go_on_and_a_start_waits(house: House) -> None:
    second, connections = second_stream(house), house.connections()
    with Socket(house, "/ws/streams") as before:
        with stopped(house.valkey):
            pages_work(house)
            house.goes_on()
            refused_in_words(house)
            order(house, second, "start")
            assert house.state(second)["status"] == "STARTING"
        wait_until(lambda: house.state(second)["status"] == "STREAMING", "what was asked for meanwhile", 40)
        before.until(lambda opcode, body: opcode == 1 and str(second).encode() in body, 20)
    assert house.state(house.pk)["status"] == "STREAMING"
    assert set(connections) <= set(house.connections()), "no connection was dropped"
    wait_until(house.is_ready, "everything is well again", 30)
    with Socket(house, f"/ws/stream/{house.pk}") as fresh:
        fresh.until(lambda opcode, body: opcode == 1 and b"stream-state" in body, 10)
    assert AWAY not in house.look("/streams/").text
    order(house, second, "stop")
    wait_until(lambda: house.state(second)["status"] == "INACTIVE", "off air", 30)


def pages_work(house: House) -> None:
    wait_until(lambda: AWAY in house.look("/streams/").text, "the pages say so", 5)
    for path in ("/streams/", f"/streams/{house.pk}/", f"/streams/{house.pk}/incidents", "/library/", "/account/",
                 f"/streams/{house.pk}/edit", "/streams/destinations/"):  # fmt: skip
        answer = timed(lambda path=path: house.look(path), 3)
        assert (answer.status_code, AWAY in answer.text) == (200, True), path
    assert timed(lambda: house.look("/admin/", house.operator), 3).status_code == 200
    ready = timed(lambda: house.look("/health/ready"), 3)
    reasons = ready.json()["reasons"]
    assert (ready.status_code, {"queue", "channels", "agents"} <= set(reasons)) == (503, True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    figures = requests.get(house.product.url + "/metrics", headers=headers, timeout=20).text
    assert 'ezstream_up{part="redis"} 0.0' in figures
    assert "ezstream_listener_messages_total" in figures


def refused_in_words(house: House) -> None:
    answer = timed(lambda: house.post(f"/api/streams/{house.pk}/steer", json={"order": "next"}), 6)
    assert (answer.status_code, "does not listen" in answer.text) == (409, True)
    session = requests.Session()
    session.get(house.product.url + "/account/login/", timeout=20)
    form = {"login": house.user["email"], "password": "wrong", "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    headers = {"Referer": house.product.url}
    login = session.post(house.product.url + "/account/login/", data=form, headers=headers, timeout=20)
    assert (login.status_code, AWAY in login.text or "does not answer (Redis)" in login.text) == (503, True)


def test_a_redis_that_hangs_holds_nothing_up(house: House) -> None:
    connections = house.connections()
    with hanging(house.valkey):
        wait_until(lambda: AWAY in house.look("/streams/").text, "the pages say so", 10)
        for path in ("/streams/", f"/streams/{house.pk}/", "/library/"):
            assert timed(lambda path=path: house.look(path), 8).status_code == 200
        assert timed(lambda: house.look("/health/ready"), 3).status_code == 503
        house.goes_on()
    wait_until(house.is_ready, "everything is well again", 40)
    assert set(connections) <= set(house.connections())


# ------------------------------------------------------------------------------------------------ told to end


def ends(house: House, name: str) -> float:
    """Seconds until the process that was told to end was gone."""
    child = house.product.supervisor.children[name]
    process = child.process
    assert process is not None
    began = time.monotonic()
    process.terminate()
    wait_until(lambda: process.poll() is not None, f"{name} ends", ENDS_WITHIN_S)
    return time.monotonic() - began


def test_a_web_process_finishes_what_is_in_hand_and_says_goodbye(house: House) -> None:
    """A request that waits for an agent is answered, a socket is told to come back, half a chunk is not kept."""
    agent = house.product.supervisor.children["agent1"].pid
    upload = begin_upload(house)
    half = half_a_chunk(house, upload)
    os.kill(agent, signal.SIGSTOP)
    try:
        with Socket(house, f"/ws/stream/{house.pk}") as page, ThreadPoolExecutor(1) as pool:
            page.until(lambda opcode, _body: opcode == 1, 10)
            answer = pool.submit(lambda: house.post(f"/api/streams/{house.pk}/steer", json={"order": "next"}))
            time.sleep(0.3)  # the order is on its way: it will wait a second for the agent's word
            took = ends(house, "web")
            body = page.until(lambda opcode, _body: opcode == 8, 5)
            assert struct.unpack(">H", body[:2]) == (SERVICE_RESTART,)
            assert answer.result(10).json()["answered"] is False
    finally:
        os.kill(agent, signal.SIGCONT)
    half.close()
    assert took < ENDS_WITHIN_S * ROOM
    wait_until(house.product.is_up, "the web process is back", 30)
    head = house.client.session.head(upload, headers={"Tus-Resumable": "1.0.0"}, timeout=20)
    assert head.headers["Upload-Offset"] == "0"
    house.goes_on()


def begin_upload(house: House) -> str:
    name = base64.b64encode(b"half.mp4").decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "4000000", "Upload-Metadata": f"filename {name}"}
    answer = house.post("/library/uploads/", headers=headers)
    assert answer.status_code == 201, answer.text
    return requests.compat.urljoin(house.product.url, answer.headers["Location"])


def half_a_chunk(house: House, upload: str) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", house.product.plan.web_port), timeout=20)
    path = upload.removeprefix(house.product.url)
    sock.sendall(
        f"PATCH {path} HTTP/1.1\r\nHost: 127.0.0.1:{house.product.plan.web_port}\r\nCookie: {house.cookie()}\r\n"
        f"X-CSRFToken: {house.client.cookies['csrftoken']}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        "Content-Type: application/offset+octet-stream\r\nContent-Length: 4000000\r\n\r\n".encode()
    )
    sock.sendall(b"x" * 2_000_000)
    return sock


@pytest.mark.parametrize("name", ["worker", "media", "fleet", "listener", "scheduler"])
def test_every_process_ends_in_time_and_the_stream_does_not_notice(house: House, name: str) -> None:
    connections = house.connections()
    assert ends(house, name) < ENDS_WITHIN_S * ROOM
    house.goes_on()
    wait_until(house.is_ready, "it is back", 60)
    assert set(connections) <= set(house.connections())


def test_an_agent_ends_in_time_and_in_good_order(house: House) -> None:
    """This one stops what it holds (EZSTREAM_ON_EXIT); it is back a second later and takes the stream up again."""
    assert ends(house, "agent1") < ENDS_WITHIN_S * ROOM
    wait_until(lambda: len(house.connections()) == 2, "on air again", 60)
