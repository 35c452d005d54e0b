"""Saved live inputs: their addresses go in and never come out."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from streams import access, actions, addresses
from streams.errors import Refused
from streams.forms import LiveInputForm, show_refusal
from streams.models import LiveInput
from streams.spec import LiveInputSpec
from streams.views.requests import Request


@login_required
@require_GET
def index(request: Request) -> HttpResponse:
    saved = LiveInput.objects.of(request.user).annotate(stream_count=Count("playlist_items__stream", distinct=True))
    rows = [{"live": live, "shown": addresses.shown(live.url())} for live in saved]
    return render(request, "streams/inputs.html", {"rows": rows})


@login_required
@require_http_methods(["GET", "POST"])
def new(request: Request) -> HttpResponse:
    return _edit(request, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: Request, pk: int) -> HttpResponse:
    return _edit(request, access.live_input_of(request.user, pk))


def _edit(request: Request, live: LiveInput | None) -> HttpResponse:
    form = LiveInputForm(request.POST if request.method == "POST" else None, live=live)
    if form.is_bound and form.is_valid():
        try:
            spec = LiveInputSpec(form.cleaned_data["name"], form.cleaned_data["url"])
            saved = actions.save_live_input(request.user, spec, request.user, live)
        except Refused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("Live input «%s» saved.") % saved.name)
            return redirect("streams:inputs")
    return render(request, "streams/input_edit.html", {"form": form, "live": live})


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: Request, pk: int) -> HttpResponse:
    """GET asks, POST does."""
    live = access.live_input_of(request.user, pk)
    if request.method == "GET":
        return render(request, "confirm.html", _question(live))
    try:
        actions.delete_live_input(live, request.user)
        messages.success(request, _("Live input «%s» deleted.") % live.name)
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("streams:inputs")


def _question(live: LiveInput) -> dict[str, object]:
    return {
        "title": _("Delete «%(name)s»?") % {"name": live.name},
        "text": _("To use it again later you will need its address again."),
        "action": _("Delete"),
        "back": reverse("streams:inputs"),
    }
