"""The live picture: in from the agent, out to whoever may see the stream."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from streams import access, pictures, progress
from streams.errors import Refused
from streams.views.requests import Request


@login_required
@require_GET
def show(request: Request, pk: int) -> HttpResponse:
    """The address carries the time it was taken, so a browser may keep it."""
    stream = access.stream_of(request.user, pk)
    jpeg = pictures.picture_of(stream.run) if stream.run else None
    if jpeg is None:
        raise Http404(_("There is no picture of what is on air."))
    return HttpResponse(jpeg, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=60"})


@csrf_exempt  # no cookie is looked at: the signed address is the permission
@require_http_methods(["PUT"])
def take(request: HttpRequest, token: str) -> HttpResponse:
    try:
        run = pictures.signed_run(token)
    except (signing.BadSignature, ValueError):
        return HttpResponse(status=403)
    if run is None:
        return HttpResponse(status=410)
    if int(request.headers.get("Content-Length") or 0) > pictures.MAX_BYTES:
        return HttpResponse(status=413)
    try:
        pictures.keep(run, request.body, timezone.now())
    except Refused:
        return HttpResponse(status=400)
    progress.poke(run.stream_id, run.stream.owner_id)
    return HttpResponse(status=204)
