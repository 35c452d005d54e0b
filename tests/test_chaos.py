"""What the chaos harness measures with: how long nobody pushed, how long two did, and a wire that can be cut."""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.chaos_watch import gaps, longest_overlap
from lab.cutting import Wire


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, 10)], []),
        ([], [10]),
        ([(0, 4), (6, 10)], [2]),
        ([(0, 4), (3, 10)], []),
        ([(6, 10), (-5, 2), (3, 4)], [1, 2]),
        ([(0, 10), (2, 3)], []),
        ([(-9, -1), (11, 12)], [10]),
        ([(-3, 7)], [3]),
    ],
)
def test_gaps_are_when_nobody_pushed(stretches: list[tuple[float, float]], expected: list[float]) -> None:
    assert gaps(stretches, 0, 10) == expected


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0, 10)], 0),
        ([(0, 4), (4, 9)], 0),
        ([(0, 6), (4, 9)], 2),
        ([(0, 9), (1, 2), (3, 7)], 4),
        ([(0, 9), (1, 5), (2, 8)], 7),
    ],
)
def test_an_overlap_is_when_two_did(stretches: list[tuple[float, float]], expected: float) -> None:
    assert longest_overlap(stretches) == expected


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            for line in self.rfile:
                self.wfile.write(line)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "echo"), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield tmp_path / "echo"
        server.shutdown()


def test_a_cut_wire_tells_nobody_and_delivers_late(echo: Path) -> None:
    with Wire(echo) as wire, socket.create_connection(("127.0.0.1", wire.port), timeout=20) as end:
        end.sendall(b"before\n")
        assert end.recv(100) == b"before\n"
        with wire.cut():
            end.sendall(b"during\n")
            end.settimeout(0.3)
            with pytest.raises(TimeoutError):
                end.recv(100)
            with socket.create_connection(("127.0.0.1", wire.port), timeout=0.3) as late:
                late.sendall(b"late\n")
                with pytest.raises(TimeoutError):
                    late.recv(100)
        end.settimeout(20)
        assert end.recv(100) == b"during\n"
