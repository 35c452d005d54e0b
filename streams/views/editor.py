"""One page to make a stream and to change it: what it plays, how, and where to.

Every button of the page is a real submit button, so that it works without JavaScript: `do` says which. The page's
script does the same in place.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts.models import User
from media_library.models import FileStatus, VideoFile
from streams import access, actions, platforms, playlist
from streams.errors import Refused
from streams.forms import DestinationForm, StreamForm, ids, show_refusal, stored, typed
from streams.models import Destination, Platform, Stream
from streams.spec import OutputSpec, StreamSpec
from streams.views.destinations import spec_of
from streams.views.requests import Request

PICKER_SIZE: Final = 24


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
    return render(request, "streams/fragments/picker.html", _picker(owner, request.GET.get("q", "")))


def _edit(request: Request, owner: User, stream: Stream | None) -> HttpResponse:
    if request.method == "GET":
        initial = stored(stream) if stream else {"playlist": ids(request.GET.getlist("files"))}
        return _page(request, owner, stream, StreamForm(initial=initial), DestinationForm())
    order = request.POST.get("do", "save")
    if order in ("save", "start"):
        return _save(request, owner, stream, and_start=order == "start")
    if order == "destination":
        return _add_destination(request, owner, stream)
    return _again(request, owner, stream, _after(request.POST, order))


def _after(data: QueryDict, order: str) -> dict[str, Any]:
    """What was typed, with one order applied to the playlist."""
    initial = typed(data)
    if order != "search":
        with suppress(playlist.BadOrderError):  # an unknown button: the page as it was
            initial["playlist"] = playlist.apply(initial["playlist"], order)
    return initial


def _again(request: Request, owner: User, stream: Stream | None, initial: dict[str, Any]) -> HttpResponse:
    """The page once more, nothing checked and nothing lost but the key."""
    new_destination = {name: request.POST[name] for name in ("platform", "name", "url") if name in request.POST}
    if new_destination.get("platform") not in Platform.values:
        new_destination = {}
    form = DestinationForm(initial=new_destination)
    return _page(request, owner, stream, StreamForm(initial=initial), form)


def _add_destination(request: Request, owner: User, stream: Stream | None) -> HttpResponse:
    initial = typed(request.POST)
    form = DestinationForm(request.POST)
    destination = _saved_destination(request, owner, form)
    if destination is None:
        return _page(request, owner, stream, StreamForm(initial=initial), form)
    initial["outputs"].append(destination.pk)
    initial["enabled"].append(destination.pk)
    messages.success(request, _("Destination «%s» added.") % destination.name)
    return _page(request, owner, stream, StreamForm(initial=initial), DestinationForm())


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


def _save(request: Request, owner: User, stream: Stream | None, *, and_start: bool) -> HttpResponse:
    form = StreamForm(request.POST)
    new_form = DestinationForm(request.POST)
    adds = not new_form.is_untouched
    form.fields["outputs"].required = not adds
    if form.is_valid() & (not adds or new_form.is_valid()):
        saved = _write(request, owner, stream, form, new_form if adds else None)
        if saved is not None:
            return _leave(request, saved, and_start=and_start)
    if not adds:
        new_form = DestinationForm()
    return _page(request, owner, stream, form, new_form)


def _write(
    request: Request, owner: User, stream: Stream | None, form: StreamForm, new_form: DestinationForm | None
) -> Stream | None:
    """The stream created or changed, all or nothing; None with the errors in the forms."""
    try:
        with transaction.atomic():
            outputs, enabled = form.cleaned_data["outputs"], set(form.cleaned_data["enabled"])
            if new_form is not None:
                added = _saved_destination(request, owner, new_form)
                if added is None:
                    return None
                outputs, enabled = [*outputs, added.pk], enabled | {added.pk}
            spec = _spec(form, outputs, enabled)
            if stream is None:
                return actions.create(owner, spec)
            return actions.edit(stream, spec, request.user)
    except Refused as refusal:
        show_refusal(form, refusal)
        return None


def _spec(form: StreamForm, outputs: list[int], enabled: set[int]) -> StreamSpec:
    data = form.cleaned_data
    return StreamSpec(
        title=data["title"],
        description=data["description"],
        loop=data["loop"],
        order=data["order"],
        keep_files_after_stop=data["keep_files_after_stop"],
        file_ids=tuple(data["playlist"]),
        outputs=tuple(OutputSpec(pk, pk in enabled) for pk in dict.fromkeys(outputs)),
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


def _page(
    request: Request,
    owner: User,
    stream: Stream | None,
    form: StreamForm,
    new_destination: DestinationForm,
) -> HttpResponse:
    items = _items(owner, form["playlist"].value() or ())
    context = {
        "stream": stream,
        "owner": owner,
        "form": form,
        "new_destination": new_destination,
        "platforms": platforms.KNOWN,
        "items": items,
        "total_s": sum(file.duration_s or 0 for file in items),
        "choices": _choices(owner, form),
        "pick_url": reverse("streams:pick") + (f"?stream={stream.pk}" if stream else ""),
        **_picker(owner, request.POST.get("q", "")),
    }
    return render(request, "streams/edit.html", context)


def _items(owner: User, file_ids: Any) -> list[VideoFile]:
    """The playlist's files in order; what is not the owner's is not there."""
    wanted = ids(file_ids)
    found = VideoFile.objects.of(owner).in_bulk(wanted)
    return [found[pk] for pk in wanted if pk in found]


def _choices(owner: User, form: StreamForm) -> list[dict[str, Any]]:
    """The saved destinations, each with whether it is chosen and switched on."""
    outputs, enabled = set(ids(form["outputs"].value() or ())), set(ids(form["enabled"].value() or ()))
    return [
        {
            "destination": destination,
            "chosen": destination.pk in outputs,
            "enabled": destination.pk in enabled or destination.pk not in outputs,
        }
        for destination in Destination.objects.of(owner)
    ]


def _picker(owner: User, search: str) -> dict[str, Any]:
    search = search.strip()[:100]
    mine = VideoFile.objects.of(owner)
    files = mine.playable()
    if search:
        files = files.filter(title__icontains=search)
    found = list(files[: PICKER_SIZE + 1])
    return {
        "q": search,
        "picker": found[:PICKER_SIZE],
        "more": len(found) > PICKER_SIZE,
        "unready": mine.filter(status__in=[FileStatus.UPLOADING, FileStatus.PROCESSING]).count(),
    }
