"""What workers do beside their work: say that they are alive, and hand back what they could not finish."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from typing import Any, Final

import dramatiq
import structlog
from django.db import DatabaseError, connection

from kit.alive import say_alive
from kit.ending import end_within

log = structlog.get_logger(__name__)
EVERY_S: Final = 10.0
KIND_OF_QUEUE: Final = {"default": "worker", "media": "media", "fleet": "fleet"}


def kinds_served(queues: Collection[str] | None) -> list[str]:
    """By the queues a worker was started for; None: for all."""
    return [kind for queue, kind in KIND_OF_QUEUE.items() if queues is None or queue in queues]


class WorkerAlive(dramatiq.Middleware):
    """Says every ten seconds which queues are served: «worker» for the streams', «media» for the library's, «fleet»
    for servers that are provisioned."""

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


class HandBack(dramatiq.Middleware):
    """A worker that is told to end waits a while for its actors (`--worker-shutdown-timeout`). What is not done then
    goes back into its queue, where the next worker finds it at once instead of after a minute."""

    def __init__(self) -> None:
        self._in_hand: dict[str, dramatiq.MessageProxy] = {}

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        self._in_hand[message.message_id] = message

    def after_process_message(
        self, broker: dramatiq.Broker, message: dramatiq.MessageProxy, *,
        result: Any = None, exception: BaseException | None = None,
    ) -> None:  # fmt: skip
        self._in_hand.pop(message.message_id, None)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        for message in list(self._in_hand.values()):
            log.warning("worker.handed_back", actor=message.actor_name)
            broker.do_requeue(message.queue_name, message.options["redis_message_id"])


class EndInTime(dramatiq.Middleware):
    """For a process that is a worker and nothing else: it is gone in time, whatever its actors do."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Any) -> None:
        end_within()
