"""Deleting: the row, the quota and a Deletion row change in one transaction; the bytes go afterwards.

A storage that fails then leaves a Deletion row that is tried again: no file is forgotten, no counter is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db import transaction
from django.db.models import F, ProtectedError
from django.http import HttpRequest
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from accounts import audit, quota
from accounts.models import User
from kit.actors import after_commit
from kit.conflicts import again_on_conflict
from media_library import access, incoming, names
from media_library.errors import InUse
from media_library.models import Deletion, FileStatus, Upload, VideoFile
from media_library.storage import media_storage
from media_library.storage.errors import StorageError

_AT_ONCE: Final = 500


@again_on_conflict
def delete(file: VideoFile, actor: User | None, request: HttpRequest | None = None) -> None:
    """Removes a file in any state and gives its bytes back. Raises InUse, naming the streams that play it."""
    with transaction.atomic():
        row = VideoFile.objects.select_for_update().filter(pk=file.pk).first()
        if row is None:
            return
        _check_unused(row)
        audit.record(actor, "delete", row, request)
        upload = Upload.objects.filter(file=row).first()
        _give_back(row, upload)
        if upload is not None:
            _remove_incoming_after_commit(upload)
        schedule_deletion(row)
        try:
            row.delete()
        except ProtectedError as error:
            raise InUse(_used_by(row)) from error


def delete_many(
    files: Iterable[VideoFile], actor: User | None, request: HttpRequest | None = None
) -> tuple[int, list[str]]:
    """Deletes what can be deleted. Returns how many went and why the others stay."""
    gone, reasons = 0, []
    for file in files:
        try:
            delete(file, actor, request)
            gone += 1
        except InUse as refusal:
            reasons.append(str(refusal))
    return gone, reasons


def retry_deletions() -> int:
    """Tries again what a failing storage left. Returns how many files went."""
    waiting = Deletion.objects.order_by("tries", "pk")[:_AT_ONCE]
    return sum(_remove(deletion) for deletion in waiting)


def schedule_deletion(file: VideoFile) -> None:
    """Inside a transaction: notes the file's bytes and picture as to be removed, and removes them after it."""
    delete_stored(file.disk, file.stored_name, names.thumbnail_name(file.stored_name))


def delete_stored(disk: str, *stored_names: str) -> None:
    """Inside a transaction: notes what has to go from a storage, and removes it after the commit."""
    rows = [Deletion.objects.create(stored_name=name, disk=disk) for name in stored_names]
    after_commit(lambda: [_remove(row) for row in rows])


def _remove(deletion: Deletion) -> bool:
    try:
        media_storage(deletion.disk).delete(deletion.stored_name)
    except StorageError as error:
        row = Deletion.objects.filter(pk=deletion.pk)
        row.update(tries=F("tries") + 1, last_error=error.explain()[:500])
        return False
    deletion.delete()
    return True


def _give_back(file: VideoFile, upload: Upload | None) -> None:
    if file.status == FileStatus.COMPLETED:
        quota.release_storage(file.owner_id, used=file.size)
    elif file.status != FileStatus.FAILED:
        quota.release_storage(file.owner_id, reserved=upload.length if upload else 0)


def _remove_incoming_after_commit(upload: Upload) -> None:
    upload_id = upload.pk
    after_commit(lambda: incoming.remove(upload_id))


def _check_unused(file: VideoFile) -> None:
    if file.playlist_items.exists() or file.slate_of.exists():
        raise InUse(_used_by(file))


def _used_by(file: VideoFile) -> str:
    """Names the streams that play it, and those that show it when nothing else can play."""
    streams = access.streams_with(file)
    titles = get_text_list([f"«{title}»" for title in sorted({stream.title for stream in streams})], _("and"))
    return _("«%(file)s» is used in %(streams)s. Take it out there first.") % {"file": file, "streams": titles}
