"""What systemd hears of an agent, and that nobody hears anything where nobody asked."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.service import Service


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        yield ear


def heard(ear: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(ear.recv(4096).decode())
        except BlockingIOError:
            return found


def test_it_says_how_it_is(systemd: socket.socket) -> None:
    service = Service.from_environment({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "9000000"})
    service.ready("1.0+abc")
    for now in (100.0, 100.5, 102.9, 103.0, 103.1, 120.0):
        service.alive(now)
    service.stopping()
    assert heard(systemd) == ["READY=1\nSTATUS=agent 1.0+abc", *["WATCHDOG=1"] * 3, "STOPPING=1"]


def test_an_address_without_a_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0ezstream-test-{os.getpid()}")
        ear.setblocking(False)
        Service(f"@ezstream-test-{os.getpid()}").stopping()
        assert heard(ear) == ["STOPPING=1"]


def test_children_do_not_inherit_it() -> None:
    environ = {"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Service.from_environment(environ)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "soon"}]
)
def test_where_nobody_listens_nothing_happens(environ: dict[str, str]) -> None:
    service = Service.from_environment(environ)
    service.ready("1.0")
    service.alive(1.0)
    service.stopping()


def test_without_a_watchdog_there_are_no_signs_of_life(systemd: socket.socket) -> None:
    service = Service(systemd.getsockname())
    service.alive(1.0)
    assert heard(systemd) == []


def test_one_that_does_not_read_holds_nothing_up(systemd: socket.socket) -> None:
    service = Service(systemd.getsockname(), watchdog_s=1e-9)
    for now in range(5000):
        service.alive(float(now))
