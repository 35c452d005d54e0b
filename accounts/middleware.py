"""Times are shown in the user's own zone."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from accounts import time_zones


class TimeZoneMiddleware:
    """The account's zone, else the browser's, else UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        name = getattr(request.user, "time_zone", "") or time_zones.of_browser(request)
        with timezone.override(time_zones.zone(name)):
            return self.get_response(request)
