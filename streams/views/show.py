"""One stream: its page, and the verbs on it."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kit.redirects import back
from streams import access, actions, pages
from streams.errors import Refused
from streams.hanging import force_stop_hanging
from streams.models import Stream
from streams.views.requests import Request


@login_required
@require_GET
def page(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    now = timezone.now()
    if not stream.state.is_resting and force_stop_hanging(now=now):
        stream = access.stream_of(request.user, pk)
    return render(request, "streams/show.html", pages.show_context(stream, now))


@login_required
@require_GET
def fragments(request: Request, pk: int) -> HttpResponse:
    """The live parts alone, for a page whose socket is gone."""
    return HttpResponse(pages.show_html(access.stream_of(request.user, pk), timezone.now()))


@login_required
@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return _done(request, stream, lambda: actions.start(stream, request.user))


@login_required
@require_POST
def stop(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return _done(request, stream, lambda: actions.stop(stream, request.user))


@login_required
@require_POST
def output(request: Request, pk: int, output_pk: int) -> HttpResponse:
    """Switches one destination on or off; on air, the others notice nothing."""
    row = access.output_of(request.user, pk, output_pk)
    wanted = request.POST.get("enabled") == "1"
    return _done(request, row.stream, lambda: actions.set_output_enabled(row, wanted, request.user))


@login_required
@require_POST
def duplicate(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    try:
        copy = actions.duplicate(stream, request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("streams:show", pk)
    messages.success(request, _("Here is the copy. It is off air until you start it."))
    return redirect("streams:edit", copy.pk)


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: Request, pk: int) -> HttpResponse:
    """GET asks, POST does."""
    stream = access.stream_of(request.user, pk)
    if request.method == "GET":
        return render(request, "confirm.html", _question(stream))
    try:
        actions.delete(stream, request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("streams:show", pk)
    messages.success(request, _("Stream «%s» deleted.") % stream.title)
    return redirect("streams:list")


def _question(stream: Stream) -> dict[str, str]:
    return {
        "title": _("Delete «%s»?") % stream.title,
        "text": _("Its history goes with it. Your videos and destinations stay."),
        "action": _("Delete"),
        "back": reverse("streams:show", args=[stream.pk]),
    }


def _done(request: Request, stream: Stream, verb: Callable[[], object]) -> HttpResponse:
    """Does the verb; a refusal is said. Answers a page's script with fragments, everybody else with the page."""
    try:
        verb()
    except Refused as refusal:
        messages.error(request, str(refusal))
    if not request.htmx:
        return back(request, "streams:list")
    fresh = access.stream_of(request.user, stream.pk)
    now = timezone.now()
    html = pages.rows_html([fresh], now) if "row" in request.GET else pages.show_html(fresh, now)
    return HttpResponse(html + render_to_string("streams/fragments/notes.html", {}, request))
