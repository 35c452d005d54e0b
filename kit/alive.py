"""«I am alive», said by long-running processes. Whoever keeps the book signs up here."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

_keepers: list[Callable[[str, str], None]] = []


def keep_book(keeper: Callable[[str, str], None]) -> None:
    """Called with the kind of process and its instance each time one says that it is alive."""
    if keeper not in _keepers:
        _keepers.append(keeper)


def say_alive(kind: str) -> None:
    for keeper in _keepers:
        keeper(kind, f"{socket.gethostname()}:{os.getpid()}")
