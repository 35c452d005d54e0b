"""Steering a stream that is on air, and arranging its playlist, from its page.

Each verb is a form sent by its button, so that it works without JavaScript; the page's script sends the same in place.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from media_library.models import VideoFile
from streams import access, actions
from streams.models import Stream
from streams.views.doing import done, number
from streams.views.requests import Request

PICKER_SIZE: Final = 24


@login_required
@require_POST
def steer(request: Request, pk: int) -> HttpResponse:
    """`order` for what is on air; `item` for those that are about one."""
    stream = access.stream_of(request.user, pk)
    order, item_id = request.POST.get("order", ""), number(request.POST.get("item"))
    return done(request, stream, lambda: actions.steer(stream, order, request.user, item_id))


@login_required
@require_POST
def steer_item(request: Request, pk: int, item_pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    order = request.POST.get("order", "")
    return done(request, stream, lambda: actions.steer(stream, order, request.user, item_pk))


@login_required
@require_POST
def renew(request: Request, pk: int, output_pk: int) -> HttpResponse:
    """A destination is connected anew, or tried at once."""
    output = access.output_of(request.user, pk, output_pk)
    return done(request, output.stream, lambda: actions.renew(output, request.user))


@login_required
@require_POST
def move_item(request: Request, pk: int, item_pk: int) -> HttpResponse:
    """`way` up or down by a button, `to` a place by dragging."""
    stream = access.stream_of(request.user, pk)
    way, to = request.POST.get("way", ""), number(request.POST.get("to"))
    return done(request, stream, lambda: actions.move_item(stream, item_pk, request.user, way=way, to=to))


@login_required
@require_POST
def remove_item(request: Request, pk: int, item_pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return done(request, stream, lambda: actions.remove_item(stream, item_pk, request.user))


@login_required
@require_POST
def playing(request: Request, pk: int) -> HttpResponse:
    """`loop` 1 or 0, `order` in order or shuffled."""
    stream = access.stream_of(request.user, pk)
    loop = {"1": True, "0": False}.get(request.POST.get("loop", ""))
    order = request.POST.get("order")
    return done(request, stream, lambda: actions.set_playing(stream, request.user, loop=loop, order=order))


@login_required
@require_POST
def insert(request: Request, pk: int) -> HttpResponse:
    """`file`, one of the owner's, to be played after the current item."""
    stream = access.stream_of(request.user, pk)
    chosen = number(request.POST.get("file"))
    return done(request, stream, lambda: actions.insert_next(stream, chosen or 0, request.user))


@login_required
@require_GET
def pick(request: Request, pk: int) -> HttpResponse:
    """The library to choose from for `insert`: a page of its own, or its list for a page's script."""
    stream = access.stream_of(request.user, pk)
    template = "streams/fragments/insert.html" if request.htmx else "streams/insert.html"
    return render(request, template, _choice(stream, request.GET.get("q", "")))


def _choice(stream: Stream, search: str) -> dict[str, Any]:
    search = search.replace("\0", "").strip()[:100]
    files = VideoFile.objects.of(stream.owner).playable()
    if search:
        files = files.filter(title__icontains=search)
    found = list(files[: PICKER_SIZE + 1])
    return {"stream": stream, "q": search, "files": found[:PICKER_SIZE], "more": len(found) > PICKER_SIZE}
