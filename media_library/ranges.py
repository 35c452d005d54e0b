"""Byte ranges, answered in pieces of at most 8 MiB.

Daphne has no back-pressure: what a response yields is in memory until the client took it. So one answer never
carries more than PIECE bytes, read at once; streaming it would hold the same bytes in the transport's buffer.
A range with an open or distant end is answered with its beginning (206, see `Content-Range`), as RFC 9110 allows.
Without a `Range` header a 206 is not allowed: a file of at most PIECE bytes is sent whole (200), a
larger one is refused with 400 and says how to ask. In production nginx sends the bytes (USE_X_ACCEL).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _

from media_library.models import VideoFile
from media_library.storage import media_storage

PIECE: Final = 8 * 1024**2
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True)
class Piece:
    start: int
    length: int


@dataclass(frozen=True)
class Stored:
    """What is sent: where it lies, and what it is called outside."""

    disk: str
    stored_name: str
    shown_name: str
    content_type: str = "video/mp4"


class Unsatisfiable(Exception):
    """The range begins after the end."""


def piece_of(header: str, size: int) -> Piece | None:
    """The part of `size` bytes a Range header asks for, at most PIECE long; None without a (single) range."""
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start = max(0, size - int(last[:19]))
        end = size if int(last[:19]) else 0
    else:
        start = int(first[:19])
        end = min(size, int(last[:19]) + 1) if last else size
    if start >= size or end <= start:
        if last and first and int(last[:19]) < start:
            return None
        raise Unsatisfiable
    return Piece(start, min(end - start, PIECE))


def stored(file: VideoFile) -> Stored:
    return Stored(file.disk, file.stored_name, file.original_name)


def answer(request: HttpRequest, file: Stored) -> HttpResponse:
    """The file's bytes, or those the request asks for. Raises StorageError."""
    if settings.USE_X_ACCEL:
        return _handed_to_nginx(file)
    storage = media_storage(file.disk)
    size = storage.size(file.stored_name)
    try:
        piece = piece_of(request.headers.get("Range", ""), size)
    except Unsatisfiable:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"})
    if request.method == "HEAD":
        return _dressed(HttpResponse(headers={"Content-Length": str(size)}), file)
    if piece is None and size > PIECE:
        words = _("The file is larger than 8 MiB: ask for it in pieces, with a Range header («bytes=0-»).")
        return HttpResponse(words, status=400, content_type="text/plain", headers={"Accept-Ranges": "bytes"})
    return _dressed(_bytes(file, piece, size), file)


def _bytes(file: Stored, piece: Piece | None, size: int) -> HttpResponse:
    wanted = piece or Piece(0, size)
    with media_storage(file.disk).open(file.stored_name) as content:
        content.seek(wanted.start)
        response = HttpResponse(content.read(wanted.length), status=206 if piece else 200)
    if piece:
        last = wanted.start + wanted.length - 1
        response["Content-Range"] = f"bytes {wanted.start}-{last}/{size}"
    return response


def _handed_to_nginx(file: Stored) -> HttpResponse:
    path = quote(file.stored_name)
    return _dressed(HttpResponse(headers={"X-Accel-Redirect": f"/protected-media/{path}"}), file)


def _dressed(response: HttpResponse, file: Stored) -> HttpResponse:
    response["Content-Type"] = file.content_type
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=3600"
    response["Content-Disposition"] = content_disposition_header(False, file.shown_name) or "inline"
    return response
