"""Operators' pages for periodic jobs and the processes of the control plane, and the end of an account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from accounts.admin import OurUserAdmin
from accounts.models import User
from kit.console import ReadOnlyAdmin, verdict
from kit.templatetags.kit import ago
from media_library.errors import Refused as FileRefused
from media_library.models import VideoFile
from ops import people
from ops.models import Job, Process
from ops.processes import FRESH
from ops.schedule import JOBS
from streams.errors import Refused
from streams.models import Destination, Stream

admin.site.unregister(User)


@admin.register(User)
class PeopleAdmin(OurUserAdmin):
    """An account goes with all that is theirs, which only this app may touch; what forbids it is said."""

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = self.get_object(request, object_id)
        try:
            if user is not None:
                people.check_deletable(user)
            return super().delete_view(request, object_id, extra_context)
        except (Refused, FileRefused) as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
            return redirect("admin:accounts_user_change", object_id)

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        people.delete(obj, cast(User, request.user), request)

    def get_deleted_objects(
        self, objs: Iterable[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """What goes with them, counted; nothing protects what the verb takes away in the right order."""
        users = list(objs)
        held = (Stream, VideoFile, Destination)
        counts = {str(kind._meta.verbose_name_plural): kind.objects.filter(owner__in=users).count() for kind in held}
        return [str(user) for user in users], counts, set(), []


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["name", "rhythm", "last_run", "took", "outcome", "last_result", "next_run"]
    fields = ("name", "rhythm", "last_started_at", "took", "outcome", "last_result", "next_run_at")
    readonly_fields = fields

    @admin.display(description=_("rhythm"))
    def rhythm(self, job: Job) -> str:
        return next((each.rhythm for each in JOBS if each.name == job.name), "–")

    @admin.display(description=_("last run"), ordering="last_started_at")
    def last_run(self, job: Job) -> str:
        return ago(job.last_started_at)

    @admin.display(description=_("took"), ordering="last_duration_s")
    def took(self, job: Job) -> str:
        return "–" if job.last_duration_s is None else f"{job.last_duration_s:.2f}\N{NO-BREAK SPACE}s"

    @admin.display(description=_("succeeded"), ordering="last_succeeded")
    def outcome(self, job: Job) -> SafeString | str:
        if job.last_succeeded is None:
            return "–"
        return verdict(job.last_succeeded, str(_("done")), str(_("failed")))

    @admin.display(description=_("next run"), ordering="next_run_at")
    def next_run(self, job: Job) -> SafeString | str:
        if job.is_late(timezone.now()):
            return format_html("{} {}", verdict(False, "", str(_("overdue"))), ago(job.next_run_at))
        return date_format(timezone.localtime(job.next_run_at), "DATETIME_FORMAT")


@admin.register(Process)
class ProcessAdmin(ReadOnlyAdmin):
    list_display = ["kind", "instance", "alive", "seen"]
    list_filter = ["kind"]

    @admin.display(description=_("alive"))
    def alive(self, process: Process) -> SafeString:
        return verdict(timezone.now() - process.seen_at <= FRESH, str(_("alive")), str(_("silent")))

    @admin.display(description=_("last seen"), ordering="seen_at")
    def seen(self, process: Process) -> str:
        return ago(process.seen_at)
