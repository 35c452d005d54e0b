"""The bytes of uploads in flight: one file each in UPLOAD_DIR, named by the upload's id.

The file's length is the truth about how much arrived; `Upload.offset` is a copy for lists. Each chunk is flushed
to the disk (`fdatasync`) before its offset is acknowledged, so neither a killed server nor a power cut takes back
what a browser was told; without it a resumed upload could have a hole that nobody notices before it is on air.
A lock (`flock`) on the file keeps two writers apart; the kernel frees it when its process dies.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from django.conf import settings
from django.utils.translation import gettext as _

from media_library.errors import Busy, DiskFailed

_BLOCK: Final = 1024**2


class Readable(Protocol):
    def read(self, n: int, /) -> bytes: ...


def path_of(upload_id: uuid.UUID) -> Path:
    return Path(settings.UPLOAD_DIR) / str(upload_id)


def moved_path_of(upload_id: uuid.UUID) -> Path:
    """Where the copy with its index in front grows."""
    return path_of(upload_id).with_suffix(".moved")


def thumbnail_path_of(upload_id: uuid.UUID) -> Path:
    return path_of(upload_id).with_suffix(".jpg")


def received(upload_id: uuid.UUID) -> int:
    """How many bytes are there."""
    try:
        return path_of(upload_id).stat().st_size
    except FileNotFoundError:
        return 0


def create(upload_id: uuid.UUID) -> None:
    path_of(upload_id).parent.mkdir(parents=True, exist_ok=True)
    path_of(upload_id).touch(mode=0o600)


def remove(upload_id: uuid.UUID) -> None:
    """All files of an upload; those that are gone already are fine."""
    for path in (path_of(upload_id), moved_path_of(upload_id), thumbnail_path_of(upload_id)):
        path.unlink(missing_ok=True)


@contextmanager
def locked(upload_id: uuid.UUID) -> Iterator[BinaryIO]:
    """The open file under an exclusive lock. Raises Busy when another holds it."""
    descriptor = os.open(path_of(upload_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(_("This upload is being written to from another window.")) from error
        yield file


def append(file: BinaryIO, body: Readable, length: int) -> int:
    """Adds `length` bytes of `body` in blocks of 1 MiB and flushes them to the disk. Returns the new length."""
    try:
        end = file.seek(0, os.SEEK_END)
        left = length
        while left and (block := body.read(min(_BLOCK, left))):
            _write_all(file, block)
            left -= len(block)
        os.fdatasync(file.fileno())
    except OSError as error:
        raise DiskFailed(_("The server could not write to its disk: %(why)s.") % {"why": error.strerror}) from error
    return end + length - left


def _write_all(file: BinaryIO, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[file.write(view) :]


def strays(before: datetime, known: set[str]) -> Iterator[Path]:
    """Files untouched since `before` that belong to no upload in `known`."""
    directory = Path(settings.UPLOAD_DIR)
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name.split(".")[0] not in known and path.stat().st_mtime < before.timestamp():
            yield path
