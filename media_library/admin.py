"""Operators look at files and uploads; what they change goes through the actions."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from kit.actors import send_after_commit
from kit.console import ReadOnlyAdmin, pill
from kit.templatetags.kit import clock, filesize
from media_library import access, actions
from media_library.actions.queue import processing_actor
from media_library.errors import Refused
from media_library.models import Deletion, FileStatus, Upload, VideoFile


@admin.register(VideoFile)
class VideoFileAdmin(ReadOnlyAdmin):
    list_display = ["title", "owner", "state", "length", "resolution", "bytes", "created_at", "failure_reason"]
    list_select_related = ["owner"]
    list_filter = ["status", "disk", "video_codec", "created_at"]
    search_fields = ["title", "original_name", "stored_name", "owner__email"]
    date_hierarchy = "created_at"
    actions = ["process_again"]

    @admin.display(description=_("status"), ordering="status")
    def state(self, file: VideoFile) -> SafeString | str:
        return pill(file.state)

    @admin.display(description=_("duration"), ordering="duration_s")
    def length(self, file: VideoFile) -> str:
        return clock(file.duration_s)

    @admin.display(description=_("size"), ordering="size")
    def bytes(self, file: VideoFile) -> str:
        return filesize(file.size)

    @admin.action(description=_("Process again"), permissions=["view"])
    def process_again(self, request: HttpRequest, queryset: QuerySet[VideoFile]) -> None:
        """Ready files are read anew; those stuck in processing are queued again; others have no bytes."""
        sent = sum(self._again(request, file) for file in queryset)
        words = ngettext("%(n)d file queued.", "%(n)d files queued.", sent) % {"n": sent}
        self.message_user(request, words, messages.SUCCESS if sent else messages.WARNING)

    def _again(self, request: HttpRequest, file: VideoFile) -> bool:
        if file.state is FileStatus.PROCESSING:
            send_after_commit(processing_actor(), file.pk)
            return True
        try:
            actions.refresh(file, access.me(request), request)
        except Refused:
            return False
        return True

    def has_delete_permission(self, request: HttpRequest, obj: VideoFile | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    def get_deleted_objects(
        self, objs: Iterable[VideoFile], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Files only: what hangs on them goes with them, and what is in use is refused by the action."""
        names = [str(file) for file in objs]
        return names, {str(VideoFile._meta.verbose_name_plural): len(names)}, set(), []

    def delete_model(self, request: HttpRequest, obj: VideoFile) -> None:
        self.delete_queryset(request, VideoFile.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[VideoFile]) -> None:
        _gone, reasons = actions.delete_many(queryset, access.me(request), request)
        for reason in reasons:
            self.message_user(request, reason, messages.ERROR)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["file", "owner", "state", "progress", "length", "created_at", "touched_at"]
    list_select_related = ["owner", "file"]
    list_filter = ["file__status", "created_at"]
    search_fields = ["file__title", "file__original_name", "owner__email", "id"]

    @admin.display(description=_("status"))
    def state(self, upload: Upload) -> str:
        return str(upload.file.state.label)

    @admin.display(description=_("received"))
    def progress(self, upload: Upload) -> str:
        return f"{upload.percent} %"


@admin.register(Deletion)
class DeletionAdmin(ReadOnlyAdmin):
    list_display = ["stored_name", "disk", "tries", "last_error", "created_at"]
    list_filter = ["disk"]
    search_fields = ["stored_name"]
