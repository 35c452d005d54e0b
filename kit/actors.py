"""What leaves the process leaves after the commit, through here, and carries the request's id with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
import structlog
from django.db import transaction


def after_commit(action: Callable[[], object], *, robust: bool = False) -> None:
    """Runs `action` once the surrounding transaction is durable; at once when there is none.

    `robust`: a failure is logged and goes no further, for what is repaired by itself later.
    """
    transaction.on_commit(action, robust=robust)


def send_after_commit(actor: dramatiq.Actor[..., Any], *ids: object, robust: bool = False) -> None:
    """Queues the actor with ids (never objects, never secrets) after the commit. `robust` as in `after_commit`."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    options = {"request_id": request_id} if request_id else {}
    message = actor.message_with_options(args=ids, **options)
    after_commit(lambda: actor.broker.enqueue(message), robust=robust)


class RequestIdMiddleware(dramatiq.Middleware):
    """Binds the id of the request that queued a message to every log line its actor writes."""

    @property
    def actor_options(self) -> set[str]:
        return {"request_id"}

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=message.options.get("request_id", message.message_id), actor=message.actor_name
        )
