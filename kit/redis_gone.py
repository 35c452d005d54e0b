"""Pages that need Redis, while it does not answer: told so, instead of an error of ours."""

from __future__ import annotations

from collections.abc import Callable

import redis
import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

log = structlog.get_logger(__name__)


class RedisGoneMiddleware:
    """503 with words. Only what counts attempts (signing in, registering, e-mails) comes to this; a limit that
    cannot be counted is not lifted."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, redis.ConnectionError | redis.TimeoutError):
            return None
        log.error("web.redis_gone", error=type(error).__name__)
        response = render(request, "503.html", status=503)
        response["Retry-After"] = "60"
        return response
