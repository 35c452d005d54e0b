"""The worker's own sign of life."""

from __future__ import annotations

import threading
from typing import Any, Final

import dramatiq
import structlog
from django.db import DatabaseError, connection

from kit.alive import say_alive

log = structlog.get_logger(__name__)
EVERY_S: Final = 10.0


class WorkerAlive(dramatiq.Middleware):
    """Says «worker» every ten seconds while a worker runs."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._thread = threading.Thread(target=self._say, name="worker-alive", daemon=True)
        self._thread.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _say(self) -> None:
        while not self._stop.is_set():
            try:
                say_alive("worker")
            except DatabaseError as error:
                log.warning("worker.not_recorded", error=str(error))
            finally:
                connection.close()
            self._stop.wait(EVERY_S)
