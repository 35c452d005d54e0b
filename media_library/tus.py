"""The words of tus 1.0 (https://tus.io/protocols/resumable-upload): headers in, headers out. No I/O."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,termination,expiration"
CHUNK_TYPE: Final = "application/offset+octet-stream"


class Malformed(Exception):
    """A header is missing or not what tus says. `http_status` is the answer."""

    def __init__(self, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.http_status = http_status


@dataclass(frozen=True)
class Creation:
    length: int
    name: str
    last_modified: int | None


@dataclass(frozen=True)
class Chunk:
    offset: int
    length: int


def check_version(headers: Mapping[str, str]) -> None:
    if headers.get("Tus-Resumable") != VERSION:
        raise Malformed(f"This server speaks tus {VERSION}.", 412)


def creation(headers: Mapping[str, str]) -> Creation:
    """What POST asks for. Raises Malformed."""
    found = metadata(headers.get("Upload-Metadata", ""))
    return Creation(
        length=number(headers, "Upload-Length"),
        name=found.get("filename", ""),
        last_modified=_last_modified(found.get("lastmodified", "")),
    )


def chunk(headers: Mapping[str, str], largest: int) -> Chunk:
    """What PATCH brings. Raises Malformed."""
    if headers.get("Content-Type", "").split(";")[0].strip() != CHUNK_TYPE:
        raise Malformed(f"A chunk has the content type {CHUNK_TYPE}.", 415)
    found = Chunk(number(headers, "Upload-Offset"), number(headers, "Content-Length"))
    if found.length > largest:
        raise Malformed(f"A chunk has at most {largest} bytes.", 413)
    return found


def number(headers: Mapping[str, str], name: str) -> int:
    value = headers.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise Malformed(f"{name} must be a whole number.")
    return int(value)


def metadata(header: str) -> dict[str, str]:
    """`key base64,key base64` as a dictionary. Raises Malformed."""
    pairs = (part.strip().split(" ", 1) for part in header.split(",") if part.strip())
    return {pair[0]: _decoded(pair[1] if len(pair) == 2 else "") for pair in pairs}


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode()
    except ValueError as error:  # of base64 and of UTF-8
        raise Malformed("Upload-Metadata is not base64 of UTF-8.") from error


def _last_modified(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None
