"""The states of a file as a table. Nothing else writes `VideoFile.status`."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from media_library.models import FileStatus, VideoFile


class Event(Enum):
    RECEIVED = "every byte arrived"
    ACCEPTED = "the content was found good and is in the storage"
    REFUSED = "the content cannot be taken, or the upload was given up"


TRANSITIONS: Final[dict[tuple[FileStatus, Event], FileStatus]] = {
    (FileStatus.UPLOADING, Event.RECEIVED): FileStatus.PROCESSING,
    (FileStatus.UPLOADING, Event.REFUSED): FileStatus.FAILED,
    (FileStatus.PROCESSING, Event.ACCEPTED): FileStatus.COMPLETED,
    (FileStatus.PROCESSING, Event.REFUSED): FileStatus.FAILED,
}


def fire(file_id: int, event: Event, **fields: Any) -> FileStatus | None:
    """Moves the file on and writes `fields` with it: one conditional UPDATE.

    Returns the state it was in, or None when the event does not apply to its state (somebody else was first).
    """
    for (old, known), new in TRANSITIONS.items():
        if known is event and _move(file_id, old, new, fields):
            return old
    return None


def _move(file_id: int, old: FileStatus, new: FileStatus, fields: dict[str, Any]) -> bool:
    rows = VideoFile.objects.filter(pk=file_id, status=old)
    return bool(rows.update(status=new, **fields))
