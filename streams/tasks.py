"""Actors: ids in, one function called. The Redis broker may deliver twice; what they call is idempotent."""

from __future__ import annotations

import uuid
from typing import Any, Final

import dramatiq

from streams import starting, stopping

TRIES: Final = 3


@dramatiq.actor(max_retries=0)
def start_failed(message: dict[str, Any], _retries: dict[str, Any]) -> None:
    starting.give_up(uuid.UUID(message["args"][0]))


@dramatiq.actor(
    time_limit=300_000,
    max_retries=TRIES - 1,
    min_backoff=1_000,
    max_backoff=4_000,
    on_retry_exhausted="start_failed",
)
def start_stream(run_id: str) -> None:
    starting.put_on_air(uuid.UUID(run_id))


@dramatiq.actor(time_limit=60_000, max_retries=TRIES - 1, min_backoff=1_000, max_backoff=4_000)
def stop_stream(run_id: str) -> None:
    stopping.take_off_air(uuid.UUID(run_id))
