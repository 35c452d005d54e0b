"""One page to make a stream and to change it: what it plays, how, and where to.

Every button of the page is a real submit button, so that it works without JavaScript: `do` says which. The page's
script does the same in place.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import access, actions, playlist
from streams.errors import Refused
from streams.forms import DestinationForm, LiveInputForm, StreamForm, items, show_refusal, stored, typed
from streams.models import Destination, LiveInput, Platform, Stream
from streams.spec import ItemSpec, LiveInputSpec, OutputSpec, SlateSpec, StreamSpec
from streams.views.destinations import spec_of
from streams.views.editor_page import Forms, page, picker
from streams.views.requests import Request


@login_required
@require_http_methods(["GET", "POST"])
def new(request: Request) -> HttpResponse:
    return _edit(request, request.user, None)


@login_required
@require_http_methods(["GET", "POST"])
def edit(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return _edit(request, stream.owner, stream)


@login_required
@require_GET
def pick(request: Request) -> HttpResponse:
    """The library beside the playlist, searched."""
    owner = request.user
    if request.GET.get("stream", "").isdecimal():
        owner = access.stream_of(request.user, int(request.GET["stream"])).owner
    return render(request, "streams/fragments/picker.html", picker(owner, request.GET.get("q", "")))


def _edit(request: Request, owner: User, stream: Stream | None) -> HttpResponse:
    if request.method == "GET":
        initial = stored(stream) if stream else {"playlist": items(request.GET.getlist("files"))}
        return page(request, owner, stream, _blank(owner, initial))
    order = request.POST.get("do", "save")
    if order in ("save", "start"):
        return _save(request, owner, stream, and_start=order == "start")
    if order == "destination":
        return _add_destination(request, owner, stream)
    if order == "live":
        return _add_live(request, owner, stream)
    return _again(request, owner, stream, _after(request.POST, order))


def _blank(
    owner: User,
    initial: dict[str, Any],
    *,
    destination: DestinationForm | None = None,
    live: LiveInputForm | None = None,
) -> Forms:
    return Forms(StreamForm(owner=owner, initial=initial), destination or DestinationForm(), live or LiveInputForm())


def _after(data: QueryDict, order: str) -> dict[str, Any]:
    """What was typed, with one order applied to the playlist."""
    initial = typed(data)
    if order != "search":
        with suppress(playlist.BadOrderError):  # an unknown button: the page as it was
            initial["playlist"] = playlist.apply(initial["playlist"], order)
    return initial


def _again(request: Request, owner: User, stream: Stream | None, initial: dict[str, Any]) -> HttpResponse:
    """The page once more, nothing checked and nothing lost but what is secret."""
    names = ("platform", "name", "url", "via")
    new_destination = {name: request.POST[name] for name in names if name in request.POST}
    if new_destination.get("platform") not in Platform.values:
        new_destination = {}
    live = LiveInputForm(initial={"name": request.POST.get("live-name", "")})
    forms = _blank(owner, initial, destination=DestinationForm(initial=new_destination), live=live)
    return page(request, owner, stream, forms)


def _add_destination(request: Request, owner: User, stream: Stream | None) -> HttpResponse:
    initial = typed(request.POST)
    form = DestinationForm(request.POST)
    destination = _saved_destination(request, owner, form)
    if destination is None:
        return page(request, owner, stream, _blank(owner, initial, destination=form))
    initial["outputs"].append(destination.pk)
    initial["enabled"].append(destination.pk)
    messages.success(request, _("Destination «%s» added.") % destination.name)
    return page(request, owner, stream, _blank(owner, initial))


def _saved_destination(request: Request, owner: User, form: DestinationForm) -> Destination | None:
    """The new destination, or None with the errors in the form."""
    if owner != request.user:
        form.full_clean()
        form.add_error(None, _("Only the owner can add a destination: it needs their key."))
        return None
    if not form.is_valid():
        return None
    try:
        return actions.save_destination(owner, spec_of(form), request.user)
    except Refused as refusal:
        show_refusal(form, refusal)
        return None


def _add_live(request: Request, owner: User, stream: Stream | None) -> HttpResponse:
    initial = typed(request.POST)
    form = LiveInputForm(request.POST)
    live = _saved_live(request, owner, form)
    if live is None:
        return page(request, owner, stream, _blank(owner, initial, live=form))
    initial["playlist"].append(ItemSpec("live", live.pk))
    messages.success(request, _("Live input «%s» added.") % live.name)
    return page(request, owner, stream, _blank(owner, initial))


def _saved_live(request: Request, owner: User, form: LiveInputForm) -> LiveInput | None:
    """The new live input, or None with the errors in the form."""
    if owner != request.user:
        form.full_clean()
        form.add_error(None, _("Only the owner can add a live input: its address may hold a key."))
        return None
    if not form.is_valid():
        return None
    try:
        spec = LiveInputSpec(form.cleaned_data["name"], form.cleaned_data["url"])
        return actions.save_live_input(owner, spec, request.user)
    except Refused as refusal:
        show_refusal(form, refusal)
        return None


def _save(request: Request, owner: User, stream: Stream | None, *, and_start: bool) -> HttpResponse:
    forms = Forms(
        StreamForm(request.POST, request.FILES, owner=owner), DestinationForm(request.POST), LiveInputForm(request.POST)
    )
    adds = forms.touched()
    forms.stream.fields["outputs"].required = forms.destination not in adds
    forms.stream.fields["playlist"].required = forms.live not in adds
    if forms.are_valid():
        saved = _write(request, owner, stream, forms)
        if saved is not None:
            return _leave(request, saved, and_start=and_start)
    destination = forms.destination if forms.destination in adds else DestinationForm()
    live = forms.live if forms.live in adds else LiveInputForm()
    return page(request, owner, stream, Forms(forms.stream, destination, live))


class _NotAdded(Exception):
    """What was to be made on the way could not be: its form says why, and nothing else is kept."""


@again_on_conflict
def _write(request: Request, owner: User, stream: Stream | None, forms: Forms) -> Stream | None:
    """The stream created or changed, all or nothing; None with the errors in the forms."""
    try:
        with transaction.atomic():
            spec = _with_added(request, owner, forms)
            if stream is None:
                return actions.create(owner, spec)
            return actions.edit(stream, spec, request.user)
    except Refused as refusal:
        show_refusal(forms.stream, refusal)
    except _NotAdded:
        pass
    return None


def _with_added(request: Request, owner: User, forms: Forms) -> StreamSpec:
    """The stream as typed, with the destination and the live input that are made on the way."""
    outputs, enabled = list(forms.stream.cleaned_data["outputs"]), set(forms.stream.cleaned_data["enabled"])
    entries = list(forms.stream.cleaned_data["playlist"])
    adds = forms.touched()
    if forms.destination in adds:
        destination = _saved_destination(request, owner, forms.destination)
        if destination is None:
            raise _NotAdded
        outputs.append(destination.pk)
        enabled.add(destination.pk)
    if forms.live in adds:
        live = _saved_live(request, owner, forms.live)
        if live is None:
            raise _NotAdded
        entries.append(ItemSpec("live", live.pk))
    return _spec(forms.stream, entries, outputs, enabled)


def _spec(form: StreamForm, entries: list[ItemSpec], outputs: list[int], enabled: set[int]) -> StreamSpec:
    data = form.cleaned_data
    return StreamSpec(
        title=data["title"],
        description=data["description"],
        loop=data["loop"],
        order=data["order"],
        keep_files_after_stop=data["keep_files_after_stop"],
        max_restarts=data["max_restarts"],
        restart_every_h=data["restart_every_h"],
        items=tuple(entries),
        outputs=tuple(OutputSpec(pk, pk in enabled) for pk in dict.fromkeys(outputs)),
        slate=SlateSpec(data["slate"], data["slate_clip"], data["slate_picture"]),
    )


def _leave(request: Request, stream: Stream, *, and_start: bool) -> HttpResponse:
    if and_start:
        try:
            actions.start(stream, request.user)
        except Refused as refusal:
            messages.error(request, _("Saved, but not started: %s") % refusal)
    else:
        messages.success(request, _("Stream «%s» saved.") % stream.title)
    return redirect("streams:show", stream.pk)
