"""What is kept of runs: the page of one, and the curves of its charts."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from streams import access, charting, pages
from streams.models import Run
from streams.templatetags.streams import bitrate, lag
from streams.views.requests import Request


@login_required
@require_GET
def show(request: Request, pk: int, run_pk: uuid.UUID) -> HttpResponse:
    run = access.run_of(request.user, pk, run_pk)
    return render(request, "streams/run.html", pages.run_context(run, timezone.now()))


@login_required
@require_GET
def samples(request: Request, pk: int) -> HttpResponse:
    """The curves of `run`, or of the current one."""
    stream = access.stream_of(request.user, pk)
    run = _run(request, pk) if "run" in request.GET else stream.run
    chart = charting.of_run(run)
    body = {"moments": chart.moments, "lines": [_line(line) for line in chart.lines]}
    return JsonResponse(body, headers={"Cache-Control": "private, no-store"})


def _run(request: Request, pk: int) -> Run:
    try:
        run_id = uuid.UUID(request.GET["run"])
    except ValueError as error:
        raise Http404("no such run") from error
    return access.run_of(request.user, pk, run_id)


def _line(line: charting.Line) -> dict[str, Any]:
    """With the row of the table beside the chart, in words."""
    rates = [bitrate(kbps) for kbps in (line.kbps_now, line.kbps_mean, line.kbps_least, line.kbps_most)]
    return {name: asdict(line)[name] for name in ("output_id", "name", "kbps", "lag_ms")} | {
        "words": [*rates, lag(line.lag_most_ms)]
    }
