"""Files on the control plane's own disk, under MEDIA_ROOT. Agents fetch them by signed URLs of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from media_library.storage.errors import (
    NoSuchBucket,
    NoSuchObject,
    StorageError,
    StorageRefused,
    StorageUnreachable,
)


class LocalMediaStorage(FileSystemStorage):
    """Django's file system storage with our errors. A name is written once and never changes its content."""

    is_local = True

    def __init__(self) -> None:
        super().__init__(allow_overwrite=True)

    def save(self, name: str | None, content: Any, max_length: int | None = None) -> str:
        with self._telling_apart(name):
            return super().save(name, content, max_length)

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        with self._telling_apart(name):
            return super().open(name, mode)

    def delete(self, name: str) -> None:
        """Removes the file; one that is already gone is as good as removed."""
        with self._telling_apart(name):
            super().delete(name)

    def exists(self, name: str) -> bool:
        with self._telling_apart(name):
            return super().exists(name)

    def size(self, name: str) -> int:
        with self._telling_apart(name):
            return super().size(name)

    def url(self, name: str | None) -> str:
        raise NotImplementedError("Local files have no public URL: use media_library.actions.download_url.")

    @contextmanager
    def _telling_apart(self, name: str | None) -> Iterator[None]:
        """Errors of the operating system become ours. A root that vanished (not mounted) is not made anew."""
        if not Path(self.location).is_dir():
            raise NoSuchBucket(str(self.location))
        try:
            yield
        except OSError as error:
            raise self._translated(error, str(name)) from error

    def _translated(self, error: OSError, name: str) -> StorageError:
        if isinstance(error, PermissionError):
            return StorageRefused(error.strerror or "")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NoSuchObject(name)
        return StorageUnreachable(error.strerror or str(error))
