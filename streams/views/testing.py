"""«Test connection»: a POST begins it, looking at it waits a moment for the answer, and neither holds anything up."""

from __future__ import annotations

import uuid

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from streams import access, actions
from streams.actions.testing import ConnectionTest
from streams.errors import Invalid, Refused
from streams.forms import DestinationForm
from streams.views.destinations import spec_of
from streams.views.requests import Request


@login_required
@require_POST
def start(request: Request) -> HttpResponse:
    """With what was typed; `?destination=` names the saved one whose key an empty field stands for."""
    destination = None
    if request.GET.get("destination", "").isdecimal():
        destination = access.destination_of(request.user, int(request.GET["destination"]))
    form = DestinationForm(request.POST, destination=destination)
    form.fields["name"].required = False
    if not form.is_valid():
        problems = [f"{form[name].label}: {words}" for name, found in form.errors.items() for words in found]
        return _refused(request, problems)
    try:
        return _begun(request, actions.test_typed(request.user, spec_of(form), request.user, destination))
    except Refused as refusal:
        return _refused(request, _words(refusal))


@login_required
@require_POST
def start_saved(request: Request, pk: int) -> HttpResponse:
    destination = access.destination_of(request.user, pk)
    try:
        return _begun(request, actions.test_destination(destination, request.user))
    except Refused as refusal:
        return _refused(request, _words(refusal))


@login_required
@require_GET
@never_cache
def result(request: Request, test_id: uuid.UUID) -> HttpResponse:
    """How it stands. The part for htmx asks again by itself; the page without JavaScript is loaded again."""
    test = actions.find_test(request.user, str(test_id))
    if test is None:
        raise Http404(_("There is no such test any more."))
    return _shown(request, {"test": test})


def _begun(request: Request, test: ConnectionTest) -> HttpResponse:
    if request.htmx:
        return _shown(request, {"test": test})
    return redirect("streams:destination_test_result", test.id)


def _words(refusal: Refused) -> list[str]:
    return list(refusal.fields.values()) if isinstance(refusal, Invalid) else [refusal.message]


def _refused(request: Request, problems: list[str]) -> HttpResponse:
    return _shown(request, {"problems": problems})


def _shown(request: Request, context: dict[str, object]) -> HttpResponse:
    name = "fragments/connection_test.html" if request.htmx else "connection_test.html"
    return render(request, f"streams/{name}", context)
