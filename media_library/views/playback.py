"""Bytes to look at: preview and picture for the owner, the file itself for agents."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from media_library import access, ranges
from media_library.actions.links import signed_file_id
from media_library.models import FileStatus, VideoFile
from media_library.storage import media_storage
from media_library.storage.errors import NoSuchObject, StorageError

_TEXT = "text/plain; charset=utf-8"


@require_safe
@login_required
def play(request: HttpRequest, file_id: int) -> HttpResponse:
    file = access.file_of(access.me(request), file_id)
    if file.state is not FileStatus.COMPLETED:
        raise Http404(_("The video is not ready."))
    storage = media_storage(file.disk)
    if not storage.is_local:
        return HttpResponseRedirect(storage.url(file.stored_name))
    return or_explained(lambda: ranges.answer(request, ranges.stored(file)))


@require_safe
@login_required
def thumbnail(request: HttpRequest, file_id: int) -> HttpResponse:
    file = access.file_seen_by(access.me(request), file_id)
    if not file.thumbnail:
        raise Http404(_("There is no picture of this video yet."))
    return or_explained(lambda: _picture(file))


@require_safe
def download(request: HttpRequest, token: str) -> HttpResponse:
    """For agents: whoever holds the signed URL may fetch this one file until it expires."""
    try:
        file = access.file_for_agent(signed_file_id(token))
    except signing.SignatureExpired:
        return HttpResponse(_("This download link has expired."), status=403, content_type=_TEXT)
    except signing.BadSignature:
        return HttpResponse(_("This download link is not valid."), status=403, content_type=_TEXT)
    return or_explained(lambda: ranges.answer(request, ranges.stored(file)))


def _picture(file: VideoFile) -> HttpResponse:
    with media_storage(file.disk).open(file.thumbnail) as picture:
        response = HttpResponse(picture.read(), content_type="image/jpeg")
    response["Cache-Control"] = "private, max-age=86400"
    return response


def or_explained(answer: Callable[[], HttpResponse]) -> HttpResponse:
    """The answer; or, when the storage fails, what is wrong with it: 404 for a missing object, else 503."""
    try:
        return answer()
    except StorageError as error:
        status = 404 if isinstance(error, NoSuchObject) else 503
        return HttpResponse(error.meaning, status=status, content_type=_TEXT)
