"""The list of one's streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from kit.redirects import back
from media_library.models import VideoFile
from streams import actions, groups, pages
from streams.errors import Refused
from streams.forms import ConfirmedForm, FilterForm, ids
from streams.models import Stream
from streams.views.requests import Request

PAGE_SIZE: Final = 50


@login_required
@require_GET
def index(request: Request) -> HttpResponse:
    context = _context(request)
    if not context["total"]:
        context["has_files"] = VideoFile.objects.of(request.user).playable().exists()
    return render(request, "streams/list.html", context)


@login_required
@require_GET
def rows(request: Request) -> HttpResponse:
    """The list anew, for a page whose socket is gone or that was told of streams that came or went."""
    return render(request, "streams/fragments/list_part.html", _context(request))


@login_required
@require_POST
def bulk(request: Request) -> HttpResponse:
    """Starts or stops what is ticked; each for itself, and what was refused is said with its reason.

    Stopping asks first: one tick in the wrong row takes another channel off air.
    """
    verbs: dict[str, Callable[[Stream, User | None], object]] = {"start": actions.start, "stop": actions.stop}
    verb = verbs.get(request.POST.get("do", ""))
    chosen = Stream.objects.of(request.user).filter(pk__in=ids(request.POST.getlist("stream")))[:PAGE_SIZE]
    if verb is None or not chosen:
        messages.warning(request, _("Tick the streams first."))
        return back(request, "streams:list")
    on_air = [stream for stream in chosen if not stream.state.is_resting]
    if verb is actions.stop and on_air and "confirmed" not in request.POST:
        return render(request, "confirm.html", _question(request, on_air))
    done = 0
    for stream in chosen:
        try:
            verb(stream, request.user)
            done += 1
        except Refused as refusal:
            messages.error(request, f"«{stream.title}»: {refusal}")
    _say(request, done, starting=verb is actions.start)
    return back(request, "streams:list")


def _question(request: Request, on_air: list[Stream]) -> dict[str, Any]:
    number = len(on_air)
    title = ngettext("Stop %(n)d stream?", "Stop %(n)d streams?", number) % {"n": number}
    titles = get_text_list([f"«{stream.title}»" for stream in on_air], _("and"))
    carried = {"do": "stop", "stream": [stream.pk for stream in on_air], "next": request.POST.get("next", "")}
    return {
        "title": title,
        "text": _("They go off air at all their destinations: %s.") % titles,
        "action": _("Stop"),
        "back": reverse("streams:list"),
        "form": ConfirmedForm(initial=carried),
    }


def _say(request: Request, done: int, *, starting: bool) -> None:
    if not done:
        return
    words = (
        ngettext("%(n)d stream is starting.", "%(n)d streams are starting.", done)
        if starting
        else ngettext("%(n)d stream is stopping.", "%(n)d streams are stopping.", done)
    )
    messages.success(request, words % {"n": done})


def _context(request: Request) -> dict[str, Any]:
    form = FilterForm(request.GET)
    mine = Stream.objects.of(request.user)
    numbers = groups.numbers(mine)
    page = Paginator(form.narrowed(mine.select_related("run")), PAGE_SIZE).get_page(request.GET.get("page"))
    return {
        "form": form,
        "page": page,
        "rows": pages.list_rows(list(page.object_list), timezone.now()),
        "total": numbers[""],
        "states": _states(form, numbers),
        "is_narrowed": any(form.cleaned_data.get(name) for name in ("q", "state")),
    }


def _states(form: FilterForm, numbers: dict[str, int]) -> list[dict[str, Any]]:
    """The states to choose from, with how many there are of each."""
    chosen = form.cleaned_data.get("state", "")
    return [
        {"value": value, "label": label, "number": numbers[value], "is_chosen": value == chosen}
        for value, label in form.STATE_LABELS
    ]
