"""What the stream editor shows: the playlist's places, the library and inputs to choose from, the destinations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.models import User
from media_library.models import FileStatus, VideoFile
from streams import addresses, platforms, slates
from streams.forms import DestinationForm, LiveInputForm, StreamForm, ids, items
from streams.models import Destination, LiveInput, Stream
from streams.views.requests import Request

PICKER_SIZE: Final = 24


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the playlist, or one live input to choose: `token` is what its form field carries."""

    token: str
    title: str
    file: VideoFile | None = None
    shown: str = ""
    """Of a live input's address, what may be shown."""

    @property
    def duration_s(self) -> float:
        return (self.file.duration_s if self.file else None) or 0.0


@dataclass(frozen=True, slots=True)
class Forms:
    """What the page carries: the stream's own fields, and two for what may be made on the way."""

    stream: StreamForm
    destination: DestinationForm
    live: LiveInputForm

    def are_valid(self) -> bool:
        """All that is wrong is said at once; what nobody typed into is not asked."""
        return all([self.stream.is_valid(), *(form.is_valid() for form in self.touched())])

    def touched(self) -> list[DestinationForm | LiveInputForm]:
        return [form for form in (self.destination, self.live) if form.is_bound and not form.is_untouched]


def page(request: Request, owner: User, stream: Stream | None, forms: Forms) -> HttpResponse:
    inputs = [_live(live) for live in LiveInput.objects.of(owner)]
    entries = entries_of(owner, forms.stream["playlist"].value() or (), inputs)
    context = {
        "stream": stream,
        "owner": owner,
        "form": forms.stream,
        "new_destination": forms.destination,
        "new_live": forms.live,
        "platforms": platforms.KNOWN,
        "entries": entries,
        "inputs": inputs,
        "total_s": sum(entry.duration_s for entry in entries),
        "choices": _choices(owner, forms.stream),
        "picture": slates.picture_of(stream) if stream else None,
        "picture_lost": bool(request.FILES),
        "pick_url": reverse("streams:pick") + (f"?stream={stream.pk}" if stream else ""),
        **picker(owner, request.POST.get("q", "")),
    }
    return render(request, "streams/edit.html", context)


def entries_of(owner: User, tokens: Iterable[Any], inputs: list[Entry]) -> list[Entry]:
    """The playlist's places in order; what is not the owner's is not there."""
    wanted = items(tokens)
    files = VideoFile.objects.of(owner).in_bulk([item.id for item in wanted if item.kind == "file"])
    known = {entry.token: entry for entry in (*map(_file, files.values()), *inputs)}
    return [known[str(item)] for item in wanted if str(item) in known]


def _file(file: VideoFile) -> Entry:
    return Entry(token=str(file.pk), title=file.title, file=file)


def _live(live: LiveInput) -> Entry:
    return Entry(token=f"live-{live.pk}", title=live.name, shown=addresses.shown(live.url()))


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


def picker(owner: User, search: str) -> dict[str, Any]:
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
