"""Operators' pages that keep themselves up to date: the page by GET, and again only the part of it that changes."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers, patch_vary_headers

HEADER: Final = "X-Live"
"""Sent by static/js/console.js, which morphs the answer into the page."""


def page(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """`template` has a partial named `live`, in an element with an id and `data-live`."""
    if request.headers.get(HEADER):
        answer = TemplateResponse(request, f"{template}#live", context)
    else:
        answer = TemplateResponse(request, template, {**admin.site.each_context(request), **context})
    patch_vary_headers(answer, [HEADER])
    add_never_cache_headers(answer)
    return answer
