"""Background jobs. Each may run twice: the actions behind them are idempotent.

They have a queue and a worker of their own: a film takes minutes to read, and no Start may wait behind it.
"""

from __future__ import annotations

from typing import Any, Final

import dramatiq

from media_library import actions

_HOUR_MS: Final = 3_600_000
QUEUE: Final = "media"


@dramatiq.actor(actor_name="library_give_up", queue_name=QUEUE)
def give_up(message: dict[str, Any], _retries: dict[str, Any]) -> None:
    actions.give_up(*message["args"])


@dramatiq.actor(
    actor_name="library_process",
    queue_name=QUEUE,
    time_limit=_HOUR_MS,
    max_retries=10,
    min_backoff=5_000,
    max_backoff=600_000,
    on_retry_exhausted="library_give_up",
)
def process(file_id: int) -> None:
    actions.process(file_id)


@dramatiq.actor(actor_name="library_reload_facts", queue_name=QUEUE, time_limit=600_000, max_retries=3)
def reload_facts(file_id: int) -> None:
    actions.reload_facts(file_id)
