"""What went wrong with a stream, as a page and as CSV."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from streams import access, incident_log, incident_page
from streams.views.requests import Request


@login_required
@require_GET
def page(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    return render(request, "streams/incidents.html", incident_page.context(stream, timezone.now()))


@login_required
@require_GET
def table(request: Request, pk: int) -> HttpResponse:
    stream = access.stream_of(request.user, pk)
    rows = incident_page.told(stream, timezone.now())
    headers = {"Content-Disposition": f'attachment; filename="incidents-{stream.pk}.csv"'}
    return HttpResponse(incident_log.as_csv(rows), content_type="text/csv; charset=utf-8", headers=headers)
