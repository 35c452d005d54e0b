"""Uploads: begun, fed with chunks, cancelled, given up."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts import audit, quota
from accounts.models import User
from kit.actors import after_commit, send_after_commit
from kit.conflicts import again_on_conflict
from kit.templatetags.kit import filesize
from media_library import incoming, names
from media_library.actions.queue import processing_actor
from media_library.errors import (
    BadLength,
    BadName,
    Gone,
    NoRoom,
    TooLarge,
    TooManyUploads,
    WrongOffset,
    WrongState,
)
from media_library.lifecycle import Event, fire
from media_library.models import FileStatus, Upload, VideoFile
from media_library.storage import default_disk

MAX_OPEN_UPLOADS: Final = 100


@again_on_conflict
def create_upload(
    owner: User,
    name: str,
    length: int,
    now: datetime,
    *,
    last_modified: int | None = None,
    request: HttpRequest | None = None,
) -> Upload:
    """Begins an upload of `length` bytes and reserves them. Raises Refused, having made nothing.

    `last_modified` (ms since 1970) lets the same file be recognised when it is picked again.
    """
    original = names.shown_name(name)
    _check(owner, original, length)
    with transaction.atomic():
        _reserve(owner, length)
        file = VideoFile.objects.create(
            owner=owner,
            title=names.title_of(original),
            original_name=original,
            stored_name=names.stored_name(now, owner.pk, original),
            disk=default_disk(),
            size=length,
        )
        upload = Upload.objects.create(owner=owner, file=file, length=length, last_modified=last_modified)
        audit.record(owner, "upload", file, request, bytes=length)
        incoming.create(upload.pk)
    return upload


def _check(owner: User, name: str, length: int) -> None:
    if not names.is_mp4(name):
        raise BadName(_("Only MP4 files can be uploaded: the name has to end in «.mp4»."))
    if length <= 0:
        raise BadLength(_("The file is empty."))
    if length > settings.MAX_UPLOAD_BYTES and not owner.is_staff:
        limit = filesize(settings.MAX_UPLOAD_BYTES)
        raise TooLarge(_("The file is larger than %(limit)s, the most one file may have.") % {"limit": limit})
    waiting = Upload.objects.filter(owner=owner, file__status=FileStatus.UPLOADING).count()
    if waiting >= MAX_OPEN_UPLOADS:
        raise TooManyUploads(_("You have %(n)s unfinished uploads. Finish or cancel some first.") % {"n": waiting})


def _reserve(owner: User, length: int) -> None:
    try:
        quota.reserve_storage(owner.pk, length)
    except quota.OverQuota as error:
        raise NoRoom(str(error)) from error


def receive(upload: Upload, offset: int, body: incoming.Readable, length: int, now: datetime) -> int:
    """Takes one chunk of `length` bytes that begins at `offset`; returns the new offset.

    The last chunk hands the file over to processing.
    """
    with incoming.locked(upload.pk) as file:
        _check_chunk(upload, offset, length)
        reached = incoming.append(file, body, length)
        Upload.objects.filter(pk=upload.pk).update(offset=reached, touched_at=now)
        if reached == upload.length:
            _hand_over(upload)
    return reached


def _check_chunk(upload: Upload, offset: int, length: int) -> None:
    status = VideoFile.objects.filter(upload=upload.pk).values_list("status", flat=True).first()
    if status is None:
        incoming.remove(upload.pk)
    if status != FileStatus.UPLOADING:
        raise Gone(_("This upload is over: it was finished, cancelled or given up."))
    have = incoming.received(upload.pk)
    if offset != have:
        raise WrongOffset(_("The chunk does not begin where the received bytes end."), have)
    if have + length > upload.length:
        raise TooLarge(_("These are more bytes than the upload was said to have."))


@again_on_conflict
def _hand_over(upload: Upload) -> None:
    """Robust: every byte is here, so a queue that is away must not fail the upload; `requeue_stuck` asks again."""
    with transaction.atomic():
        if fire(upload.file_id, Event.RECEIVED):
            send_after_commit(processing_actor(), upload.file_id, robust=True)


def offset_of(upload: Upload) -> int:
    """How many bytes are here, by the file on the disk. Raises Gone for an upload that came to nothing.

    A server killed right after the last chunk left a complete upload that nobody handed over: done now.
    """
    state = upload.file.state
    if state is FileStatus.FAILED:
        raise Gone(_("This upload is over: it was given up, or its content was refused."))
    if state is not FileStatus.UPLOADING:
        return upload.length
    have = incoming.received(upload.pk)
    if have == upload.length:
        _hand_over(upload)
    return have


@again_on_conflict
def cancel_upload(upload: Upload, actor: User, request: HttpRequest | None = None) -> None:
    """Gives the reserved bytes back and forgets the file. Raises WrongState once every byte arrived."""
    with transaction.atomic():
        file = VideoFile.objects.select_for_update().filter(pk=upload.file_id).first()
        if file is None:
            return
        if file.status != FileStatus.UPLOADING:
            raise WrongState(_("The upload is finished. Delete the video instead."))
        audit.record(actor, "cancel upload", file, request)
        quota.release_storage(upload.owner_id, reserved=upload.length)
        file.delete()
        after_commit(lambda: incoming.remove(upload.pk))


def expire_uploads(now: datetime) -> int:
    """Gives up uploads without a chunk for UPLOAD_EXPIRY and clears what others left. Returns how many."""
    old = Upload.objects.filter(touched_at__lt=now - settings.UPLOAD_EXPIRY)
    expired = sum(_give_up(upload) for upload in old.filter(file__status=FileStatus.UPLOADING).select_related("file"))
    old.exclude(file__status__in=[FileStatus.UPLOADING, FileStatus.PROCESSING]).delete()
    known = {str(pk) for pk in Upload.objects.values_list("pk", flat=True)}
    for stray in incoming.strays(now - settings.UPLOAD_EXPIRY, known):
        stray.unlink(missing_ok=True)
    return expired


@again_on_conflict
def _give_up(upload: Upload) -> bool:
    if incoming.received(upload.pk) == upload.length:
        _hand_over(upload)
        return False
    reason = _("The upload was not finished in time. Upload the file again.")
    with transaction.atomic():
        if fire(upload.file_id, Event.REFUSED, failure_reason=reason) is None:
            return False
        quota.release_storage(upload.owner_id, reserved=upload.length)
        after_commit(lambda: incoming.remove(upload.pk))
    return True
