"""Where video files lie, behind Django's storage interface. One module per kind.

To add one: a class here that passes tests/test_storage_contract.py, a row in BACKENDS, its settings in `checks`.
Beyond Django's interface a backend has `is_local` (True when `path(name)` is a file on this machine) and raises
only the errors of `storage.errors`. `save(name, content)` overwrites, so that a repeated job does no harm.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage
from django.utils.module_loading import import_string

BACKENDS: Final = {"local": "media_library.storage.local.LocalMediaStorage"}


class FileOnDisk(File):  # type: ignore[type-arg]
    """A finished file that may be moved into the storage: local disk renames it, others read it in pieces."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.open("rb"), name=path.name)
        self._path = path

    def temporary_file_path(self) -> str:
        return str(self._path)


@cache
def media_storage(disk: str) -> Any:
    """The storage a file's `disk` names."""
    storage: Storage = import_string(BACKENDS[disk])()
    return storage


def default_disk() -> str:
    """The storage new files go to: MEDIA_STORAGE."""
    disk: str = settings.MEDIA_STORAGE
    return disk
