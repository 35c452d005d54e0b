"""From received bytes to a video in the library.

Idempotent: it may be killed anywhere and run again, or run twice at once.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts import quota
from accounts.models import VideoQuality
from kit.actors import after_commit, send_after_commit
from kit.conflicts import again_on_conflict
from media_library import incoming, mp4, names, probing, thumbnails
from media_library.actions.deletion import schedule_deletion
from media_library.actions.queue import processing_actor
from media_library.errors import Busy, Unfit
from media_library.lifecycle import Event, fire
from media_library.models import FileStatus, Upload, VideoFile
from media_library.probe import Facts
from media_library.storage import FileOnDisk, media_storage

_LOST: Final = gettext_noop("The bytes of the upload were lost on our side. Upload the file again.")
STUCK_AFTER: Final = timedelta(minutes=10)


def process(file_id: int) -> None:
    """Checks, thumbnails and stores a received file. Raises StorageError when it should be tried again."""
    rows = VideoFile.objects.filter(pk=file_id, status=FileStatus.PROCESSING)
    file = rows.select_related("upload", "owner__package").first()
    if file is None:
        return
    try:
        _process(file, file.upload)
    except Busy:
        return  # another worker is at it
    except (Unfit, FileNotFoundError) as reason:
        if not _was_deleted(file):
            _fail(file, str(reason) if isinstance(reason, Unfit) else _(_LOST))


def give_up(file_id: int) -> None:
    """After the last try: the user is told and gets the room back."""
    file = VideoFile.objects.filter(pk=file_id).select_related("upload").first()
    if file is not None and file.status == FileStatus.PROCESSING:
        _fail(file, _("Something went wrong on our side. Upload the file again; if it happens again, tell us."))


def requeue_stuck(now: datetime) -> int:
    """Queues again what has been processing for long: its worker may have died. Returns how many."""
    stuck = Upload.objects.filter(file__status=FileStatus.PROCESSING, touched_at__lt=now - STUCK_AFTER)
    file_ids = list(stuck.values_list("file_id", flat=True))
    for file_id in file_ids:
        send_after_commit(processing_actor(), file_id)
    Upload.objects.filter(file__in=file_ids).update(touched_at=now)
    return len(file_ids)


def _process(file: VideoFile, upload: Upload) -> None:
    path = incoming.path_of(upload.pk)
    if not path.exists():
        _accept_stored(file, upload)
        return
    with incoming.locked(upload.pk):
        _check_complete(path, upload)
        facts = inspect(path, file)
        save_thumbnail(file, path, facts, incoming.thumbnail_path_of(upload.pk))
        ready = _with_index_first(path, incoming.moved_path_of(upload.pk))
        _note_facts(file, facts, ready)
        with FileOnDisk(ready) as content:
            media_storage(file.disk).save(file.stored_name, content)
        _accept(file, upload)


def _check_complete(path: Path, upload: Upload) -> None:
    if path.stat().st_size != upload.length:
        raise Unfit(_("Some bytes of the upload were lost on our side. Upload the file again."))


def inspect(path: Path, file: VideoFile) -> Facts:
    """The facts of a file that EZStream and its owner's package can take; Unfit otherwise."""
    size = path.stat().st_size
    with path.open("rb") as source:
        mp4.layout(source, size)
    facts = probing.probe(path)
    probing.judge(facts, size, VideoQuality(file.owner.plan.max_video_quality).max_short_side)
    return facts


def save_thumbnail(file: VideoFile, source: Path, facts: Facts, scratch: Path) -> None:
    thumbnails.make(source, facts.duration_s, scratch)
    file.thumbnail = names.thumbnail_name(file.stored_name)
    with FileOnDisk(scratch) as picture:
        media_storage(file.disk).save(file.thumbnail, picture)


def _with_index_first(path: Path, moved: Path) -> Path:
    with path.open("rb") as source:
        found = mp4.layout(source, path.stat().st_size)
        if not found.needs_move:
            return path
        with moved.open("wb") as target:
            mp4.write_moov_first(source, target, found)
            target.flush()
            os.fsync(target.fileno())  # the original goes once this is stored: it must survive a power cut
    return moved


def _note_facts(file: VideoFile, facts: Facts, ready: Path) -> None:
    """Written before the bytes move: a worker killed between the two finds them again by size and name."""
    with ready.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    file.size = ready.stat().st_size
    VideoFile.objects.filter(pk=file.pk, status=FileStatus.PROCESSING).update(
        size=file.size, sha256=digest, thumbnail=file.thumbnail, **columns(facts)
    )


def columns(facts: Facts) -> dict[str, object]:
    """The facts as the model's columns."""
    return {
        "duration_s": facts.duration_s,
        "width": facts.width,
        "height": facts.height,
        "bitrate_kbps": facts.bitrate_kbps,
        "frame_rate": facts.frame_rate,
        "is_variable_rate": facts.is_variable_rate,
        "video_codec": facts.video_codec,
        "pixel_format": facts.pixel_format,
        "key_frame_interval_s": facts.key_frame_interval_s,
        "audio_codec": facts.audio_codec,
        "sample_rate": facts.sample_rate or None,
        "audio_channels": facts.audio_channels or None,
    }


def _accept_stored(file: VideoFile, upload: Upload) -> None:
    """The bytes are no longer among the uploads: a worker died after it had moved them."""
    storage = media_storage(file.disk)
    if file.sha256 and storage.exists(file.stored_name) and storage.size(file.stored_name) == file.size:
        _accept(file, upload)
    else:
        raise Unfit(_(_LOST))


@again_on_conflict
def _accept(file: VideoFile, upload: Upload) -> None:
    with transaction.atomic():
        if fire(file.pk, Event.ACCEPTED, processed_at=timezone.now()):
            quota.settle_storage(file.owner_id, reserved=upload.length, used=file.size)
        else:
            _was_deleted(file)
        _clear_incoming(upload)


@again_on_conflict
def _was_deleted(file: VideoFile) -> bool:
    """Whether its owner deleted it meanwhile; then nothing of it that we stored stays behind."""
    with transaction.atomic():
        is_gone = not VideoFile.objects.filter(pk=file.pk).exists()
        if is_gone:
            schedule_deletion(file)
            _clear_incoming(file.upload)
    return is_gone


@again_on_conflict
def _fail(file: VideoFile, reason: str) -> None:
    with transaction.atomic():
        if fire(file.pk, Event.REFUSED, failure_reason=reason[:500], processed_at=timezone.now(), thumbnail=""):
            quota.release_storage(file.owner_id, reserved=file.upload.length)
            schedule_deletion(file)
        _clear_incoming(file.upload)


def _clear_incoming(upload: Upload) -> None:
    upload_id = upload.pk
    after_commit(lambda: incoming.remove(upload_id))
