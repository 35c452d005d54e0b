"""The owner's own slate: its picture for the page, and for agents."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_safe

from media_library import ranges
from media_library.views.playback import or_explained
from streams import access, slates
from streams.models import SlatePicture
from streams.views.requests import Request


@login_required
@require_GET
def show(request: Request, pk: int) -> HttpResponse:
    """The address carries which picture it is, so a browser may keep it."""
    picture = slates.picture_of(access.stream_of(request.user, pk))
    if picture is None:
        raise Http404(_("This stream has no picture of its own."))
    return _send(request, picture)


@require_safe
def out(request: HttpRequest, token: str) -> HttpResponse:
    """For agents: whoever holds the signed URL may fetch this one picture until it expires."""
    try:
        picture = slates.signed_picture(token)
    except (signing.BadSignature, ValueError):
        return HttpResponse(status=403)
    if picture is None:
        return HttpResponse(status=404)
    return _send(request, picture)


def _send(request: HttpRequest, picture: SlatePicture) -> HttpResponse:
    stored = ranges.Stored(picture.disk, picture.stored_name, f"slate-{picture.pk}.jpg", "image/jpeg")
    return or_explained(lambda: ranges.answer(request, stored))
