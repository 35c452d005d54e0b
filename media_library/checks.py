"""System checks: a library that cannot work is said at the start, naming the variable to set."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from media_library.storage import BACKENDS


@register("library")
def check_library(app_configs: Sequence[Any] | None = None, **_: Any) -> list[CheckMessage]:
    if settings.MEDIA_STORAGE not in BACKENDS:
        return [_unknown_storage(), *_check_programs()]
    return [*_check_directories(), *_check_programs()]


def _unknown_storage() -> Error:
    known = ", ".join(sorted(BACKENDS))
    return Error(
        f"MEDIA_STORAGE is «{settings.MEDIA_STORAGE}», which is no storage EZStream knows.",
        hint=f"Set MEDIA_STORAGE to one of: {known}.",
        id="library.E001",
    )


def _check_directories() -> list[CheckMessage]:
    media, uploads = Path(settings.MEDIA_ROOT), Path(settings.UPLOAD_DIR)
    found: list[CheckMessage] = [
        Error(
            f"{path} cannot be written to.",
            hint=f"Make it and give it to this user ({name} lies in VAR_DIR), or point VAR_DIR elsewhere.",
            id=check_id,
        )
        for path, name, check_id in (
            (media, "MEDIA_ROOT", "library.E002"),
            (uploads, "UPLOAD_DIR", "library.E003"),
        )
        if not (path.is_dir() and os.access(path, os.W_OK | os.X_OK))
    ]
    if not found and media.stat().st_dev != uploads.stat().st_dev:
        found.append(
            Error(
                f"{media} and {uploads} are on different file systems, so every upload would be copied.",
                hint="Keep both MEDIA_ROOT and UPLOAD_DIR under VAR_DIR, without a mount in between.",
                id="library.E004",
            )
        )
    return found


def _check_programs() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if shutil.which(settings.FFMPEG) is None:
        hint = "Install it (apt install ffmpeg) or set FFMPEG to its path."
        found.append(Error(f"FFmpeg was not found as «{settings.FFMPEG}».", hint=hint, id="library.E005"))
    if shutil.which("prlimit") is None:
        hint = "Install it (apt install util-linux): uploads are only read under limits."
        found.append(Error("The program «prlimit» was not found.", hint=hint, id="library.E006"))
    return found
