"""Measures what is asked of us: requests and actors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import dramatiq
import structlog
from django.http import HttpRequest, HttpResponse

from kit import metrics

log = structlog.get_logger(__name__)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class MeasuredRequests:
    """Counts answers by the name of the view, never by the address: ids would make a series each."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        view = _view(request)
        method = request.method if request.method in _METHODS else "other"
        metrics.HTTP_REQUESTS.labels(method, view, str(response.status_code)).inc()
        metrics.HTTP_SECONDS.labels(view).observe(time.perf_counter() - began)
        return response


def _view(request: HttpRequest) -> str:
    match = request.resolver_match
    return (match.view_name or "unnamed") if match else "none"


class MeasuredActors(dramatiq.Middleware):
    """And says of each that it ended, under the id of the request it came from. `outcome`: done, or failed (it
    raised, and may be tried again)."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        self._began[message.message_id] = time.perf_counter()

    def after_process_message(
        self, broker: dramatiq.Broker, message: dramatiq.MessageProxy, *,
        result: Any = None, exception: BaseException | None = None,
    ) -> None:  # fmt: skip
        began = self._began.pop(message.message_id, None)
        if began is not None:
            outcome, took_s = "done" if exception is None else "failed", time.perf_counter() - began
            metrics.ACTOR_SECONDS.labels(message.actor_name, outcome).observe(took_s)
            log.info("actor.ended", outcome=outcome, took_s=round(took_s, 3))
