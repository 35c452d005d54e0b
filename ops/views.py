"""Health and figures, for load balancers, Prometheus and people with curl."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import User
from ops import health, metrics


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers. Looks at nothing else: a database that is away is no reason to kill it."""
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when everything work needs is there, else 503 and what is missing; nothing a stranger could use.

    With `?since=`, in seconds of Unix time, processes must have been seen after that: those that were restarted then.
    """
    readiness = health.look(_since(request.GET.get("since", "")))
    return JsonResponse(readiness.as_json(), status=200 if readiness.is_ready else 503)


def _since(told: str) -> datetime:
    try:
        return datetime.fromtimestamp(int(told), UTC)
    except (ValueError, OverflowError, OSError):
        return health.LONG_AGO


@never_cache
@require_safe
def figures(request: HttpRequest) -> HttpResponse:
    """For Prometheus. Without a token in the settings there is no such page, but for operators."""
    if not _may_look(request):
        if not settings.METRICS_TOKEN:
            raise Http404("no token is set")
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(metrics.text(), content_type=metrics.CONTENT_TYPE)


def _may_look(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    return isinstance(request.user, User) and request.user.is_active and request.user.is_staff
