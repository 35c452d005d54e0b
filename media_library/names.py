"""Names of files: as people gave them, and as the storage keeps them (LIB-3)."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Final

_SUFFIX: Final = ".mp4"
_MAX_STEM: Final = 100
_MAX_SHOWN: Final = 255


def is_mp4(name: str) -> bool:
    return name.lower().endswith(_SUFFIX)


def shown_name(raw: str) -> str:
    """The name without folders and control characters, at most 255 characters; may be empty."""
    last = re.split(r"[/\\]", raw)[-1]
    printable = "".join(char for char in last if unicodedata.category(char)[0] != "C")
    return printable.strip()[-_MAX_SHOWN:]


def title_of(original_name: str) -> str:
    """A first title: the name without its suffix."""
    stem = original_name[: -len(_SUFFIX)] if is_mp4(original_name) else original_name
    return stem.strip() or original_name


def stored_name(now: datetime, user_id: int, original_name: str) -> str:
    """`{timestamp}_{user_id}_{original_name}` in ASCII letters, digits, dot, dash and underscore."""
    return f"{now:%Y%m%dT%H%M%S%f}_{user_id}_{_safe_stem(original_name)}{_SUFFIX}"


def thumbnail_name(stored: str) -> str:
    return f"thumbnails/{stored.removesuffix(_SUFFIX)}.jpg"


def _safe_stem(original_name: str) -> str:
    plain = unicodedata.normalize("NFKD", title_of(original_name)).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    return re.sub(r"\.{2,}", ".", safe)[:_MAX_STEM].strip("-.") or "video"
