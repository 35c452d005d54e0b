"""One stream: its page, and the verbs on it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from streams import access, actions, pages
from streams.errors import Refused
from streams.hanging import force_stop_hanging
from streams.models import Stream, StreamDestination
from streams.views.doing import done, number
from streams.views.requests import Request


@login_required
@require_GET
def page(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    now = timezone.now()
    if not stream.state.is_resting and force_stop_hanging(now=now):
        stream = access.stream_of(request.user, pk)
    return render(request, "streams/show.html", pages.page_context(stream, now))


@login_required
@require_GET
def fragments(request: Request, pk: int) -> HttpResponse:
    """The live parts alone, for a page whose socket is gone."""
    return HttpResponse(pages.show_html(access.stream_of(request.user, pk), timezone.now()))


@login_required
@require_POST
def start(request: Request, pk: int) -> HttpResponse:
    """`from` beginning: after a failure it does not go on where it was."""
    stream = access.stream_of(request.user, pk)
    from_beginning = request.POST.get("from") == "beginning"
    return done(request, stream, lambda: actions.start(stream, request.user, from_beginning=from_beginning))


@login_required
@require_POST
def retry(request: Request, pk: int) -> HttpResponse:
    """The next try of a stream that was interrupted, at once."""
    stream = access.stream_of(request.user, pk)
    return done(request, stream, lambda: actions.try_now(stream, request.user))


@login_required
@require_POST
def stop(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return done(request, stream, lambda: actions.stop(stream, request.user))


@login_required
@require_POST
def output(request: Request, pk: int, output_pk: int) -> HttpResponse:
    """Switches one destination on or off; on air, the others notice nothing."""
    row = access.output_of(request.user, pk, output_pk)
    wanted = request.POST.get("enabled") == "1"
    return done(request, row.stream, lambda: actions.set_output_enabled(row, wanted, request.user))


@login_required
@require_POST
def add_output(request: Request, pk: int) -> HttpResponse:
    """One more of the owner's saved destinations."""
    stream = access.stream_of(request.user, pk)
    chosen = number(request.POST.get("destination"))
    return done(request, stream, lambda: actions.add_output(stream, chosen or 0, request.user))


@login_required
@require_http_methods(["GET", "POST"])
def remove_output(request: Request, pk: int, output_pk: int) -> HttpResponse:
    """GET asks, POST does. Somebody else may have taken it out a moment ago: that is said, not an error."""
    stream = access.stream_of(request.user, pk)
    output = stream.outputs.select_related("destination").filter(pk=output_pk).first()
    if request.method == "GET" and output is not None:
        return render(request, "confirm.html", _take_out(stream, output))
    try:
        actions.remove_output(stream, output_pk, request.user)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("streams:show", pk)


def _take_out(stream: Stream, output: StreamDestination) -> dict[str, str]:
    return {
        "title": _("Take «%s» out of this stream?") % output.destination.name,
        "text": _("The others notice nothing. The destination itself stays saved."),
        "action": _("Take out"),
        "back": reverse("streams:show", args=[stream.pk]),
    }


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
