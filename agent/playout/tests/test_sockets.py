"""Connections of a process, as /proc tells them."""

import os
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from agent.playout.sockets import connections

from .servers import tcp_server


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_connection_of_our_own_is_found_with_its_peer(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener, socket.socket(family) as client:
        client.connect(listener.getsockname())
        with listener.accept()[0]:
            found = [each for each in connections(os.getpid()) if each.established and each.peer == host]
    assert len(found) >= 2, "both ends are ours, the listener is not counted"


def test_bytes_nobody_reads_are_waiting() -> None:
    seen = threading.Event()
    with tcp_server(lambda connection: seen.wait(60) and None) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)
            sent = 0
            with suppress(BlockingIOError):
                while True:
                    sent += client.send(bytes(65536))
            waiting = max(each.waiting for each in connections(os.getpid()))
        seen.set()
    assert 0 < waiting <= sent


def test_of_a_process_that_is_gone_there_are_none(tmp_path: Path) -> None:
    assert connections(2**22 + 1) == []
    assert connections(1, tmp_path) == []
