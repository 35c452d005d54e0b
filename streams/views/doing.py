"""How a page's verb is done and answered."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone

from kit.redirects import back
from streams import access, pages
from streams.actions import Outcome
from streams.errors import Refused
from streams.models import Stream
from streams.views.requests import Request


def done(request: Request, stream: Stream, verb: Callable[[], object]) -> HttpResponse:
    """Does the verb; a refusal, or what came of an order, is said. Answers a page's script with fragments, everybody
    else with the page."""
    try:
        outcome = verb()
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        if isinstance(outcome, Outcome):
            (messages.success if outcome.answered else messages.warning)(request, outcome.words)
    if not request.htmx:
        return back(request, "streams:list")
    fresh = access.stream_of(request.user, stream.pk)
    now = timezone.now()
    html = pages.rows_html([fresh], now) if "row" in request.GET else pages.show_html(fresh, now)
    return HttpResponse(html + render_to_string("streams/fragments/notes.html", {}, request))


def number(text: str | None) -> int | None:
    """A whole number of a form; None for anything else."""
    plain = text or ""
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 19 else None
