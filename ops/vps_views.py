"""What is done with one VPS from its page: asking its agent, the buttons, starting a stream on it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, cast

import redis
from django.contrib import admin, messages
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from accounts.models import User
from agent.protocol import Answered
from fleet import asking
from fleet.errors import Refused
from kit.logs import mask
from ops import live, vps_page, vps_verbs
from ops.vps_verbs import Verb
from streams import actions
from streams.errors import Refused as StreamRefused
from streams.models import Status, Stream

STREAMS_OFFERED: Final = 50
LOG_LINES: Final = 200
change = permission_required("fleet.change_vps", raise_exception=True)


# ------------------------------------------------------------------------------------------------ asking its agent


@require_safe
@vps_page.view
def ask(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """Over the wire, while the operator waits: ten seconds at most."""
    if what not in vps_page.QUESTIONS:
        raise Http404
    vps = vps_page.find(pk)
    answer, refusal = _answer(vps, what)
    context = {
        "title": vps_page.QUESTIONS[what],
        "vps": vps,
        "what": what,
        "answer": answer,
        "refusal": refusal,
        "lines": [told(line) for line in answer.lines] if answer else [],
    }
    return live.page(request, "admin/vps_answer.html", context)


def _answer(vps: Any, what: str) -> tuple[Answered | None, str]:
    try:
        return asking.ask(vps, what, lines=LOG_LINES), ""
    except Refused as refusal:
        return None, refusal.message
    except redis.RedisError:
        return None, _("Redis does not answer.")


def told(line: str) -> str:
    """A line of the agent's log (JSON) as people read it; what is none is told as it is."""
    try:
        body = json.loads(line)
        moment = datetime.fromtimestamp(body.pop("time"), UTC)
        head = f"{moment:%H:%M:%S} {body.pop('level')}: {body.pop('message')}"
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        return mask(line)
    rest = " ".join(f"{name}={value}" for name, value in body.items())
    return mask(f"{head} {rest}".strip())


# ------------------------------------------------------------------------------------------------ the buttons


@require_http_methods(["GET", "HEAD", "POST"])
@change
def verb(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """GET asks, POST does. What is not asked about is done by the first POST."""
    asked = vps_verbs.BY_SLUG.get(verb)
    if asked is None:
        raise Http404
    if not cast(User, request.user).has_perm(asked.permission):
        raise PermissionDenied
    vps = vps_page.find(pk)
    if request.method != "POST":
        return _question(request, vps, asked)
    try:
        messages.success(request, asked.do(vps, cast(User, request.user), request))
    except Refused as refusal:
        messages.error(request, refusal.message)
        return redirect("admin:vps", pk)
    if asked.is_run:
        return redirect("admin:fleet_provisionrun_change", vps.provisions.values_list("pk", flat=True)[0])
    return redirect("admin:fleet") if asked.gone else redirect("admin:vps", pk)


def _question(request: HttpRequest, vps: Any, asked: Verb) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": f"{asked.label}: {vps.name}",
        "vps": vps,
        "verb": asked,
        "more": asked.more(vps),
        "streams": vps_page.held_titles(vps),
    }
    return TemplateResponse(request, "admin/vps_confirm.html", context)


# ------------------------------------------------------------------------------------------------ start on it


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required(["fleet.view_vps", "streams.change_stream"], raise_exception=True)
def start_here(request: HttpRequest, pk: int) -> HttpResponse:
    """Testing mode: a stream that rests is started on this VPS and no other."""
    vps = vps_page.find(pk)
    query = request.GET.get("q", "").strip()[:100]
    resting = _resting(query)
    if request.method != "POST":
        context = {"title": _("Start a stream on «%(vps)s»") % {"vps": vps.name}, "vps": vps, "q": query}
        shown = {"streams": resting[:STREAMS_OFFERED], "most": STREAMS_OFFERED}
        return TemplateResponse(
            request, "admin/vps_start.html", {**admin.site.each_context(request), **context, **shown}
        )
    stream = _resting("").filter(pk=_number(request.POST.get("stream", ""))).first()
    if stream is None:
        messages.error(request, _("That stream is not at rest any more."))
        return redirect("admin:vps_start", pk)
    try:
        actions.start_on(stream, vps, cast(User, request.user))
    except StreamRefused as refusal:
        messages.error(request, f"«{stream.title}»: {refusal}")
        return redirect("admin:vps_start", pk)
    messages.success(request, _("«%(stream)s» starts on «%(vps)s».") % {"stream": stream.title, "vps": vps.name})
    return redirect("admin:vps", pk)


def _resting(query: str) -> QuerySet[Stream]:
    resting = [status for status in Status if status.is_resting]
    streams = Stream.objects.filter(status__in=resting).select_related("owner").order_by("title", "pk")
    if query:
        streams = streams.filter(Q(title__icontains=query) | Q(owner__email__icontains=query))
    return streams


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
