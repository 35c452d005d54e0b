"""Operators' pages for streams of everybody, their runs and destinations. Keys are in none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import User
from kit.console import NoBulkDelete, ReadOnlyAdmin, pill
from kit.templatetags.kit import ago, clock
from streams import actions as verbs
from streams import addresses, charting, pages
from streams import schedule_admin as schedule_admin
from streams.errors import Refused
from streams.explain import choice_table, lines
from streams.models import Destination, LiveInput, PlaylistItem, Run, Stream, StreamDestination, Transition
from streams.moving_admin import MovesStreams
from streams.telling import lasting

Verb = Callable[[Stream, User | None], object]


class ReadOnlyInline(admin.TabularInline):  # type: ignore[type-arg]
    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ItemInline(ReadOnlyInline):
    model = PlaylistItem
    fields = ["place", "file", "live", "length"]
    readonly_fields = ["place", "length"]
    ordering = ["position"]
    verbose_name_plural = _("playlist")

    def get_queryset(self, request: HttpRequest) -> QuerySet[PlaylistItem]:
        return PlaylistItem.objects.select_related("file", "live")

    @admin.display(description=_("place"))
    def place(self, item: PlaylistItem) -> int:
        return item.position + 1

    @admin.display(description=_("length"))
    def length(self, item: PlaylistItem) -> str:
        return clock(item.file.duration_s if item.file else None)


class OutputInline(ReadOnlyInline):
    model = StreamDestination
    fields = ["destination", "url", "enabled"]
    readonly_fields = ["url"]
    verbose_name_plural = _("destinations")

    def get_queryset(self, request: HttpRequest) -> QuerySet[StreamDestination]:
        return StreamDestination.objects.select_related("destination")

    @admin.display(description=_("server URL"))
    def url(self, output: StreamDestination) -> str:
        return output.destination.url


class TransitionInline(ReadOnlyInline):
    model = Transition
    fields = ["at", "event", "change", "actor", "message"]
    readonly_fields = ["change"]
    ordering = ["-at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Transition]:
        return Transition.objects.select_related("actor")

    @admin.display(description=_("state"))
    def change(self, row: Transition) -> SafeString | str:
        return pill(row.state)


@admin.register(Stream)
class StreamAdmin(MovesStreams, NoBulkDelete, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "owner", "state", "why", "vps", "since"]
    list_select_related = ["owner", "run__vps"]
    list_filter = ["status", "run__vps"]
    search_fields = ["title", "owner__email", "=id"]
    ordering = ["-status_since", "-id"]
    list_per_page = 100
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    actions = ["start_chosen", "stop_chosen", "force_stop_chosen"]
    autocomplete_fields = ["preferred_vps"]
    inlines = [OutputInline, ItemInline]
    change_form_template = "admin/streams/stream/change_form.html"
    fields = [
        "title", "owner", "state", "why", "vps", "since", "description", "order", "loop", "keep_files_after_stop",
        "slate_clip", "restart_every_h", "preferred_vps", "last_started_at", "last_stopped_at", "created_at",
    ]  # fmt: skip
    readonly_fields = [
        "title", "owner", "state", "why", "vps", "since", "description", "order", "loop", "keep_files_after_stop",
        "slate_clip", "restart_every_h", "last_started_at", "last_stopped_at", "created_at",
    ]  # fmt: skip
    VERBS: ClassVar[dict[str, tuple[Verb, Any, Any]]] = {
        "start": (verbs.start, _("Start"), _("They go on air, as if their owners had pressed Start.")),
        "stop": (verbs.stop, _("Stop"), _("They go off air in good order.")),
        "force-stop": (
            verbs.force_stop,
            _("Force stop"),
            _(
                "They end here at once, without waiting for their agent. It is told to stop, "
                "and told again for as long as it still plays them."
            ),
        ),
    }

    @admin.display(description=_("state"), ordering="status")
    def state(self, stream: Stream) -> SafeString | str:
        return pill(stream.state)

    @admin.display(description=_("what went wrong"))
    def why(self, stream: Stream) -> str:
        return stream.failure_reason or "–"

    @admin.display(description=_("VPS"), ordering="run__vps__name")
    def vps(self, stream: Stream) -> str:
        run = stream.run
        return run.vps.name if run and run.vps and run.slot_released_at is None else "–"

    @admin.display(description=_("since"), ordering="status_since")
    def since(self, stream: Stream) -> SafeString:
        return format_html('<time datetime="{}">{}</time>', stream.status_since.isoformat(), ago(stream.status_since))

    # -------------------------------------------------------------------------------------------- verbs
    @admin.action(description=_("Start"), permissions=["change"])
    def start_chosen(self, request: HttpRequest, chosen: QuerySet[Stream]) -> HttpResponse | None:
        return self._ask(request, chosen, "start", "start_chosen")

    @admin.action(description=_("Stop"), permissions=["change"])
    def stop_chosen(self, request: HttpRequest, chosen: QuerySet[Stream]) -> HttpResponse | None:
        return self._ask(request, chosen, "stop", "stop_chosen")

    @admin.action(description=_("Force stop"), permissions=["change"])
    def force_stop_chosen(self, request: HttpRequest, chosen: QuerySet[Stream]) -> HttpResponse | None:
        return self._ask(request, chosen, "force-stop", "force_stop_chosen")

    def get_urls(self) -> list[URLPattern]:
        one = self.admin_site.admin_view(self.verb)
        return [path("<int:pk>/verb/<slug:verb>/", one, name="streams_stream_verb"), *super().get_urls()]

    def verb(self, request: HttpRequest, pk: int, verb: str) -> HttpResponse:
        """One stream from its own page: GET asks, POST does."""
        chosen = Stream.objects.select_related("owner").filter(pk=pk)
        if verb not in self.VERBS or not chosen or not self.has_change_permission(request):
            raise Http404
        asked = self._ask(request, chosen, verb, "")
        return asked or redirect("admin:streams_stream_change", pk)

    def _ask(self, request: HttpRequest, chosen: QuerySet[Stream], verb: str, action: str) -> HttpResponse | None:
        """The page that asks; None once it was answered with yes."""
        act, name, text = self.VERBS[verb]
        if request.method == "POST" and request.POST.get("confirmed"):
            self._do(request, chosen, act, name)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": name,
            "text": text,
            "streams": chosen.select_related("owner"),
            "action": action,
            "is_severe": act is verbs.force_stop,
            "opts": self.opts,
            "back": reverse("admin:streams_stream_changelist"),
        }
        return TemplateResponse(request, "admin/streams/stream/confirm.html", context)

    def _do(self, request: HttpRequest, chosen: QuerySet[Stream], act: Verb, name: Any) -> None:
        done = 0
        for stream in chosen:
            try:
                act(stream, cast(User, request.user))
                done += 1
            except Refused as refusal:
                self.message_user(request, f"«{stream.title}»: {refusal}", messages.ERROR)
        if done:
            words = ngettext("%(verb)s: done for %(n)d stream.", "%(verb)s: done for %(n)d streams.", done)
            self.message_user(request, words % {"verb": name, "n": done}, messages.SUCCESS)

    # -------------------------------------------------------------------------------------------- rows
    def save_model(self, request: HttpRequest, obj: Stream, form: Any, change: bool) -> None:
        """Operators change one column; the owner and the listener write the others."""
        obj.save(update_fields=["preferred_vps"])
        audit.record(cast(User, request.user), "change", obj, request, fields=form.changed_data)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Stream | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.state.is_resting)

    def delete_model(self, request: HttpRequest, obj: Stream) -> None:
        verbs.delete(obj, cast(User, request.user))


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["started", "stream", "owner", "vps", "on_air_for", "ended", "reconnects", "short_id"]
    list_select_related = ["stream__owner", "vps"]
    list_filter = ["end_reason", "vps", "requested_at"]
    search_fields = ["stream__title", "stream__owner__email", "=id"]
    date_hierarchy = "requested_at"
    show_facets = admin.ShowFacets.NEVER
    inlines = [TransitionInline]
    readonly_fields = [
        "stream", "owner", "vps", "epoch", "requested_at", "commanded_at", "on_air_at", "on_air_for", "ended_at",
        "ended", "end_message", "slot_released_at", "reconnects", "off_air", "timeline",
        "why_this_vps", "reported_at", "last_report", "log",
    ]  # fmt: skip
    fields = tuple(readonly_fields)

    @admin.display(description=_("started"), ordering="requested_at")
    def started(self, run: Run) -> SafeString:
        when = run.requested_at
        return format_html('<time datetime="{}">{}</time>', when.isoformat(), ago(when))

    @admin.display(description=_("run"))
    def short_id(self, run: Run) -> str:
        return str(run.pk)[:8]

    @admin.display(description=_("owner"), ordering="stream__owner__email")
    def owner(self, run: Run) -> str:
        return str(run.stream.owner)

    @admin.display(description=_("on air for"))
    def on_air_for(self, run: Run) -> str:
        return clock(run.duration().total_seconds()) if run.on_air_at else "–"

    @admin.display(description=_("ended"), ordering="end_reason")
    def ended(self, run: Run) -> SafeString | str:
        return pill(run.reason)

    @admin.display(description=_("off air, by destination"))
    def off_air(self, run: Run) -> str:
        names = charting.output_names(run)
        [row] = pages.run_rows([run], timezone.now())
        return ", ".join(f"{names.get(int(each), each)}: {lasting(s)}" for each, s in row.off_air.items()) or "–"

    @admin.display(description=_("what happened"))
    def timeline(self, run: Run) -> SafeString:
        address = reverse("streams:run", args=[run.stream_id, run.pk])
        return format_html('<a href="{}">{}</a>', address, _("timeline, charts and log"))

    @admin.display(description=_("why this VPS"))
    def why_this_vps(self, run: Run) -> SafeString | str:
        return choice_table(run.choice)

    @admin.display(description=_("last report of its agent"))
    def last_report(self, run: Run) -> SafeString | str:
        return lines(run.report)

    @admin.display(description=_("log"))
    def log(self, run: Run) -> SafeString | str:
        return lines("\n".join(map(str, run.log_tail)))


@admin.register(Destination)
class DestinationAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "platform", "url", "via", "created_at", "deleted_at"]
    list_select_related = ["owner"]
    list_filter = ["platform", "via", ("deleted_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "owner__email", "url"]
    show_facets = admin.ShowFacets.NEVER
    fields = ["name", "owner", "platform", "url", "via", "renew_every_h", "created_at", "updated_at", "deleted_at"]


@admin.register(LiveInput)
class LiveInputAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "server", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__email"]
    show_facets = admin.ShowFacets.NEVER
    fields = ["name", "owner", "server", "created_at"]
    readonly_fields = ["server"]

    @admin.display(description=_("server"))
    def server(self, live: LiveInput) -> str:
        return addresses.shown(live.url())
