"""Free ports on loopback."""

from __future__ import annotations

import socket
import time


class NothingAnswersError(TimeoutError):
    """No server answered on the port within the limit."""


def free_port() -> int:
    """A TCP port nobody listens on now. Somebody may take it before you do: bind soon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


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
