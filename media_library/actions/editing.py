"""Renaming a file, and reading its facts again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from kit.actors import send_after_commit
from media_library import probing
from media_library.actions.processing import columns, save_thumbnail
from media_library.actions.queue import facts_actor
from media_library.errors import Unfit, WrongState
from media_library.models import FileStatus, VideoFile
from media_library.storage import media_storage
from media_library.storage.errors import StorageError


def rename(file: VideoFile, title: str, actor: User, request: HttpRequest | None = None) -> None:
    """Gives a file another title (already checked by the form)."""
    old, file.title = file.title, title
    VideoFile.objects.filter(pk=file.pk).update(title=title)
    audit.record(actor, "rename", file, request, old=old)


def refresh(file: VideoFile, actor: User, request: HttpRequest | None = None) -> None:
    """Queues another look at a ready file: its facts and its picture. It stays ready meanwhile."""
    rows = VideoFile.objects.filter(pk=file.pk, status=FileStatus.COMPLETED)
    if not rows.update(processed_at=None):
        raise WrongState(_("Only videos that are ready can be read again."))
    audit.record(actor, "refresh", file, request)
    send_after_commit(facts_actor(), file.pk)


def reload_facts(file_id: int) -> None:
    """Reads a ready file again. What is wrong with it now is noted on it, and streams go on."""
    file = VideoFile.objects.playable().filter(pk=file_id).first()
    if file is None:
        return
    try:
        found, problem = _look_again(file), ""
    except (StorageError, Unfit) as error:
        found, problem = {}, error.explain() if isinstance(error, StorageError) else str(error)
    VideoFile.objects.filter(pk=file_id, status=FileStatus.COMPLETED).update(
        processed_at=timezone.now(), failure_reason=problem[:500], **found
    )


def _look_again(file: VideoFile) -> dict[str, object]:
    with _on_this_machine(file) as path, tempfile.TemporaryDirectory() as scratch:
        facts = probing.probe(path)
        save_thumbnail(file, path, facts, Path(scratch) / "thumbnail.jpg")
    return {**columns(facts), "thumbnail": file.thumbnail}


@contextmanager
def _on_this_machine(file: VideoFile) -> Iterator[Path]:
    """The file's path; a copy for the while where the storage is elsewhere."""
    storage = media_storage(file.disk)
    with storage.open(file.stored_name) as content:
        if storage.is_local:
            yield Path(storage.path(file.stored_name))
            return
        with tempfile.NamedTemporaryFile(suffix=".mp4") as copy:
            copyfileobj(content, copy)
            copy.flush()
            yield Path(copy.name)
