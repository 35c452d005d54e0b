"""Many threads at one line."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection


def at_once(count: int, verb: Callable[[], object]) -> list[BaseException | None]:
    """Runs `verb` in `count` threads that all wait at a barrier; what each raised, None for those that did it."""
    outcomes: list[BaseException | None] = [None] * count
    line = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            connection.ensure_connection()
            line.wait(timeout=20)
            verb()
        except Exception as error:
            outcomes[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes
