"""Operators move a stream to another VPS: a page that asks, and says where it would go and why there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import User
from streams import actions, moving
from streams.errors import Refused
from streams.explain import choice_table
from streams.models import Run, Stream

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Stream]
else:
    Base = object


class MovesStreams(Base):
    """For the streams' own pages of the console."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.move)
        return [path("<int:pk>/move/", view, name="streams_stream_move"), *super().get_urls()]

    def move(self, request: HttpRequest, pk: int) -> HttpResponse:
        """GET asks, POST does: `vps` is where to, empty for the best."""
        stream = Stream.objects.select_related("owner", "run__vps").filter(pk=pk).first()
        if stream is None or not self.has_change_permission(request, stream):
            raise Http404
        page = redirect("admin:streams_stream_change", pk)
        if request.method == "POST":
            return self._move(request, stream, page)
        if stream.run is None or stream.run.vps is None or stream.state.is_resting:
            messages.error(request, _("«%(title)s» is not on air.") % {"title": stream.title})
            return page
        return TemplateResponse(request, "admin/streams/stream/move.html", self._question(request, stream, stream.run))

    def _move(self, request: HttpRequest, stream: Stream, page: HttpResponse) -> HttpResponse:
        wanted = request.POST.get("vps", "")
        to = int(wanted) if wanted.isascii() and wanted.isdecimal() and len(wanted) < 19 else None
        try:
            target = actions.move(stream, cast(User, request.user), to)
        except Refused as refusal:
            messages.error(request, str(refusal))
        else:
            words = _("«%(title)s» is being moved to «%(vps)s».") % {"title": stream.title, "vps": target.name}
            messages.success(request, words)
        return page

    def _question(self, request: HttpRequest, stream: Stream, run: Run) -> dict[str, Any]:
        run.stream = stream
        choice = moving.choice(run, timezone.now())
        return {
            **self.admin_site.each_context(request),
            "title": _("Move to another VPS"),
            "stream": stream,
            "vps": run.vps,
            "choice": choice,
            "why": choice_table(choice.as_json()),
            "opts": self.opts,
            "back": reverse("admin:streams_stream_change", args=[stream.pk]),
        }
