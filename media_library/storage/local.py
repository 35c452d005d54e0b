"""Files on the control plane's own disk, under MEDIA_ROOT. Agents fetch them by signed URLs of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from media_library.storage.errors import (
    NoSuchBucket,
    NoSuchObject,
    StorageError,
    StorageRefused,
    StorageUnreachable,
)

P = ParamSpec("P")
R = TypeVar("R")


def _told_apart(
    method: Callable[Concatenate[LocalMediaStorage, str, P], R],
) -> Callable[Concatenate[LocalMediaStorage, str, P], R]:
    """Turns the operating system's errors into ours."""

    @wraps(method)
    def call(self: LocalMediaStorage, name: str, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.telling_apart(name):
            return method(self, name, *args, **kwargs)

    return call


class LocalMediaStorage(FileSystemStorage):
    """Django's file system storage with our errors. A name is written once and never changes its content."""

    is_local = True

    def __init__(self) -> None:
        super().__init__(allow_overwrite=True)

    @contextmanager
    def telling_apart(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translated(error, name) from error

    def _translated(self, error: OSError, name: str) -> StorageError:
        if isinstance(error, PermissionError):
            return StorageRefused(error.strerror or "")
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return NoSuchObject(name) if Path(self.location).is_dir() else NoSuchBucket(str(self.location))
        return StorageUnreachable(error.strerror or str(error))

    def _need_root(self) -> None:
        """A storage whose root vanished (a disk not mounted) must not be made anew in silence."""
        if not Path(self.location).is_dir():
            raise NoSuchBucket(str(self.location))

    @_told_apart
    def _save(self, name: str, content: File) -> str:
        self._need_root()
        return super()._save(name, content)

    @_told_apart
    def _open(self, name: str, mode: str = "rb") -> File:
        return super()._open(name, mode)

    @_told_apart
    def delete(self, name: str) -> None:
        """Removes the file; one that is already gone is as good as removed."""
        self._need_root()
        super().delete(name)

    @_told_apart
    def size(self, name: str) -> int:
        return super().size(name)

    def url(self, name: str | None) -> str:
        raise NotImplementedError("Local files have no public URL: use media_library.actions.download_url.")
