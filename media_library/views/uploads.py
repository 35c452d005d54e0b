"""The tus server: a collection (begin an upload, list the open ones) and a resource (offset, chunk, cancel).

Refusals are plain text for the person who uploads. Somebody who is not logged in gets 401 instead of a redirect:
these addresses are called by a script.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from media_library import access, actions, tus
from media_library.errors import Refused, WrongOffset
from media_library.models import Upload

View = Callable[..., HttpResponse]


def _speaks_tus(view: View) -> View:
    """Refusals become answers, and every answer says which tus this is."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = _answer(view, request, *args, **kwargs)
        except tus.Malformed as error:
            response = _words(str(error), error.http_status)
        except Refused as refusal:
            response = _words(str(refusal), refusal.http_status)
            if isinstance(refusal, WrongOffset):
                response["Upload-Offset"] = str(refusal.offset)
        response["Tus-Resumable"] = tus.VERSION
        response["Tus-Version"] = tus.VERSION
        return response

    return wrapped


def _answer(view: View, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    if not request.user.is_authenticated:
        return _words(_("You are not signed in any more. Sign in and pick the file again."), 401)
    if request.method == "OPTIONS":
        return _abilities(request)
    if request.method != "GET":
        tus.check_version(request.headers)
    return view(request, *args, **kwargs)


@never_cache
@require_http_methods(["GET", "POST", "OPTIONS"])
@_speaks_tus
def collection(request: HttpRequest) -> HttpResponse:
    """POST begins an upload; GET lists those that wait for bytes, so that they can go on from any window."""
    if request.method == "GET":
        return JsonResponse({"uploads": [_described(upload) for upload in access.open_uploads(access.me(request))]})
    wanted = tus.creation(request.headers)
    upload = actions.create_upload(
        access.me(request),
        wanted.name,
        wanted.length,
        timezone.now(),
        last_modified=wanted.last_modified,
        request=request,
    )
    response = HttpResponse(status=201, headers={"Location": _url(upload), "Upload-Offset": "0"})
    return _with_expiry(response, upload)


@never_cache
@require_http_methods(["HEAD", "PATCH", "DELETE", "OPTIONS"])
@_speaks_tus
def resource(request: HttpRequest, upload_id: uuid.UUID) -> HttpResponse:
    upload = access.upload_of(access.me(request), upload_id)
    if request.method == "PATCH":
        return _take_chunk(request, upload)
    if request.method == "DELETE":
        actions.cancel_upload(upload, access.me(request), request)
        return HttpResponse(status=204)
    offset = actions.offset_of(upload)
    headers = {"Upload-Offset": str(offset), "Upload-Length": str(upload.length)}
    return _with_expiry(HttpResponse(headers=headers), upload)


def _take_chunk(request: HttpRequest, upload: Upload) -> HttpResponse:
    """Django spooled the body to a temporary file; it is read from there in blocks."""
    chunk = tus.chunk(request.headers, settings.UPLOAD_CHUNK_BYTES)
    reached = actions.receive(upload, chunk.offset, request, chunk.length, timezone.now())
    return _with_expiry(HttpResponse(status=204, headers={"Upload-Offset": str(reached)}), upload)


def _abilities(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(status=204, headers={"Tus-Extension": tus.EXTENSIONS})
    if not access.me(request).is_staff:
        response["Tus-Max-Size"] = str(settings.MAX_UPLOAD_BYTES)
    return response


def _described(upload: Upload) -> dict[str, object]:
    return {
        "url": _url(upload),
        "name": upload.file.original_name,
        "size": upload.length,
        "offset": upload.offset,
        "last_modified": upload.last_modified,
    }


def _with_expiry(response: HttpResponse, upload: Upload) -> HttpResponse:
    until = timezone.now() + settings.UPLOAD_EXPIRY
    response["Upload-Expires"] = http_date(until.timestamp())
    return response


def _url(upload: Upload) -> str:
    return reverse("library:upload_one", args=[upload.pk])


def _words(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
