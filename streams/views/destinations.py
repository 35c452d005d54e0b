"""Saved destinations: keys go in, and come out only by the audited reveal to their owner."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from streams import access, actions, platforms
from streams.errors import Refused
from streams.forms import DestinationForm, show_refusal
from streams.models import ON_AIR, Destination
from streams.spec import DestinationSpec
from streams.views.requests import Request

_ON_AIR = Q(outputs__enabled=True, outputs__stream__status__in=ON_AIR)


@login_required
@require_GET
def index(request: Request) -> HttpResponse:
    saved = Destination.objects.of(request.user).annotate(
        stream_count=Count("outputs", distinct=True), on_air_count=Count("outputs", filter=_ON_AIR, distinct=True)
    )
    return render(request, "streams/destinations.html", {"destinations": saved})


@login_required
@require_http_methods(["GET", "POST"])
def new(request: Request) -> HttpResponse:
    return _edit(request, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: Request, pk: int) -> HttpResponse:
    return _edit(request, access.destination_of(request.user, pk))


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: Request, pk: int) -> HttpResponse:
    """GET asks, POST does."""
    destination = access.destination_of(request.user, pk)
    outputs = destination.outputs.select_related("stream").order_by("stream__title")
    context = {"destination": destination, "outputs": outputs}
    if request.method == "GET":
        return render(request, "streams/destination_delete.html", context)
    try:
        actions.delete_destination(destination, request.user)
    except Refused as refusal:
        return render(request, "streams/destination_delete.html", {**context, "refusal": refusal}, status=409)
    messages.success(request, _("Destination «%s» deleted.") % destination.name)
    return redirect("streams:destinations")


@login_required
@require_POST
@never_cache
def reveal(request: Request, pk: int) -> HttpResponse:
    """The key, once, on a page that is not kept; the audit log says who looked."""
    destination = access.destination_of(request.user, pk)
    key = actions.reveal_key(destination, request.user, request)
    return render(request, "streams/destination_reveal.html", {"destination": destination, "key": key})


def spec_of(form: DestinationForm) -> DestinationSpec:
    data = form.cleaned_data
    plain = {name: data[name] for name in ("platform", "name", "url", "via", "renew_every_h")}
    return DestinationSpec(**plain, key=data.get("key") or None)


def _edit(request: Request, destination: Destination | None) -> HttpResponse:
    form = DestinationForm(request.POST if request.method == "POST" else None, destination=destination)
    if form.is_bound and form.is_valid():
        try:
            saved = actions.save_destination(request.user, spec_of(form), request.user, destination)
        except Refused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, _("Destination «%s» saved.") % saved.name)
            return redirect("streams:destinations")
    context = {"form": form, "destination": destination, "platforms": platforms.KNOWN}
    return render(request, "streams/destination_edit.html", context)
