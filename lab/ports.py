"""Free ports on loopback."""

from __future__ import annotations

import socket
import time


class NothingAnswersError(TimeoutError):
    """No server answered on the port within the limit."""


def free_port(row: int = 1) -> int:
    """A TCP port nobody has now, the first of `row` such ports. Somebody may take it before you do: bind soon."""
    while True:
        port = _bindable(0)
        if port and all(_bindable(port + n) for n in range(1, row)):
            return port


def _bindable(port: int) -> int:
    """The port that binding to it gives (0: any free one); 0 when it is taken."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return 0
        bound: int = probe.getsockname()[1]
        return bound


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_open(port: int, limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_open(port):
        if time.monotonic() > deadline:
            raise NothingAnswersError(f"nothing answers on port {port} after {limit_s:g} s")
        time.sleep(0.02)
