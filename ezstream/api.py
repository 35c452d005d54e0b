"""The REST API at /api/: who may call, how errors look. Each app brings its router."""

from __future__ import annotations

import redis
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import django_auth

from streams.api import router as streams_router
from streams.api_destinations import router as destinations_router
from streams.api_schedule import router as schedule_router
from streams.errors import Invalid, Refused

api = NinjaAPI(title="EZStream", version="1", auth=django_auth, docs_url=None, urls_namespace="api")
api.add_router("/streams", streams_router)
api.add_router("/destinations", destinations_router)
api.add_router("/streams", schedule_router)


def _error(request: HttpRequest, status: int, code: str, message: str, **more: object) -> HttpResponse:
    """Every error has this shape."""
    return api.create_response(request, {"error": {"code": code, "message": message, **more}}, status=status)


@api.exception_handler(Refused)
def _refused(request: HttpRequest, refusal: Refused) -> HttpResponse:
    if isinstance(refusal, Invalid):
        return _error(request, 422, refusal.code, refusal.message, fields=refusal.fields)
    return _error(request, refusal.http_status, refusal.code, refusal.message)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, _error_: Http404) -> HttpResponse:
    return _error(request, 404, "not_found", "There is no such object.")


@api.exception_handler(AuthenticationError)
def _unauthenticated(request: HttpRequest, _error_: AuthenticationError) -> HttpResponse:
    return _error(request, 401, "unauthenticated", "Sign in first.")


@api.exception_handler(ValidationError)
def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    wrong = {".".join(map(str, row["loc"])): row["msg"] for row in error.errors}
    return _error(request, 422, "malformed", "The request is not understood.", fields=wrong)


@api.exception_handler(redis.ConnectionError)
@api.exception_handler(redis.TimeoutError)
def _redis_gone(request: HttpRequest, _error_: redis.RedisError) -> HttpResponse:
    words = "A part of EZStream (Redis) does not answer. Streams on air are not affected. Try again in a minute."
    return _error(request, 503, "unavailable", words)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = "csrf" if error.status_code == 403 else "refused"
    return _error(request, error.status_code, code, str(error))
