"""Health, for load balancers and people with curl."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ops import health


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """This process answers. Looks at nothing else: a database that is away is no reason to kill it."""
    return JsonResponse({"status": "ok", "version": settings.VERSION})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when everything work needs is there, else 503; by name, without details for strangers."""
    readiness = health.look(timezone.now())
    body = {"status": "ok" if readiness.is_ready else "not ready", "checks": readiness.checks}
    return JsonResponse(body, status=200 if readiness.is_ready else 503)
