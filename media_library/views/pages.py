"""Pages of the library: the list, its rows, one file."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.models import User
from media_library import access
from media_library.advice import advice
from media_library.forms import FindForm
from media_library.models import FileStatus, VideoFileQuerySet
from media_library.views.words import words

PER_PAGE = 24


@require_safe
@login_required
def listing(request: HttpRequest) -> HttpResponse:
    user = access.me(request)
    find = FindForm({"sort": "newest", **request.GET.dict()})
    page = Paginator(_found(user, find), PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "find": find, "plan": user.plan, "is_part": _wants_part(request)}
    context |= {
        "words": words(),
        "chunk_bytes": settings.UPLOAD_CHUNK_BYTES,
        "max_bytes": settings.MAX_UPLOAD_BYTES,
    }
    template = "media_library/files.html" if context["is_part"] else "media_library/list.html"
    return render(request, template, context)


@require_safe
@login_required
def row(request: HttpRequest, file_id: int) -> HttpResponse:
    """One row of the list, asked for again while its file is in flight."""
    user = access.me(request)
    context = {"file": access.row_of(user, file_id), "plan": user.plan}
    return render(request, "media_library/row_part.html", context)


@require_safe
@login_required
def show(request: HttpRequest, file_id: int) -> HttpResponse:
    file = access.file_of(access.me(request), file_id)
    found = advice(file) if file.state is FileStatus.COMPLETED else ()
    context = {"file": file, "advice": found, "streams": access.streams_with(file)}
    return render(request, "media_library/show.html", context)


def _found(user: User, find: FindForm) -> VideoFileQuerySet:
    files = access.rows_of(user)
    if q := find.value("q"):
        files = files.filter(Q(title__icontains=q) | Q(original_name__icontains=q))
    if state := find.value("state"):
        files = files.filter(status=state)
    return files.order_by(*find.order)


def _wants_part(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target") == "files"
