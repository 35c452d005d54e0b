"""The worker's own sign of life."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any, Final

import dramatiq
import structlog
from django.db import DatabaseError, connection

from kit.alive import say_alive

log = structlog.get_logger(__name__)
EVERY_S: Final = 10.0
KIND_OF_QUEUE: Final = {"default": "worker", "media": "media"}


def kinds_served(queues: Collection[str] | None) -> list[str]:
    """By the queues a worker was started for; None: for all."""
    return [kind for queue, kind in KIND_OF_QUEUE.items() if queues is None or queue in queues]


class WorkerAlive(dramatiq.Middleware):
    """Says every ten seconds which queues are served: «worker» for the streams', «media» for the library's."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Any) -> None:
        served = kinds_served(worker.consumer_whitelist)
        self._thread = threading.Thread(target=self._say, args=(served,), name="worker-alive", daemon=True)
        self._thread.start()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def _say(self, kinds: Sequence[str]) -> None:
        while not self._stop.is_set():
            try:
                for kind in kinds:
                    say_alive(kind)
            except DatabaseError as error:
                log.warning("worker.not_recorded", error=str(error))
            finally:
                connection.close()
            self._stop.wait(EVERY_S)
