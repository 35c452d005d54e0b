"""Verbs on files: rename, delete, delete several, read again."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from kit.redirects import back
from media_library import access, actions
from media_library.errors import Refused
from media_library.forms import ChosenForm, RenameForm
from media_library.models import VideoFile


@login_required
@require_http_methods(["GET", "POST"])
def rename(request: HttpRequest, file_id: int) -> HttpResponse:
    """In place within its row for htmx; a page of its own without."""
    file = access.file_of(access.me(request), file_id)
    form = RenameForm(request.POST or None, initial={"title": file.title})
    is_part = request.headers.get("HX-Request") == "true"
    if request.method == "POST" and form.is_valid():
        actions.rename(file, form.cleaned_data["title"], access.me(request), request)
        if is_part:
            return render(request, "media_library/title.html", {"file": file, "is_renamed": True})
        return redirect("library:show", file.pk)
    if is_part and "cancel" in request.GET:
        return render(request, "media_library/title.html", {"file": file, "is_renamed": True})
    template = "media_library/title_form.html" if is_part else "media_library/rename.html"
    return render(request, template, {"file": file, "form": form})


@login_required
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, file_id: int) -> HttpResponse:
    file = access.file_of(access.me(request), file_id)
    if request.method == "GET":
        return render(request, "confirm.html", _delete_question(file))
    try:
        actions.delete(file, access.me(request), request)
        messages.success(request, _("«%(file)s» is deleted.") % {"file": file})
    except Refused as refusal:
        messages.error(request, str(refusal))
    return back(request, "library:list")


@login_required
@require_POST
def bulk_delete(request: HttpRequest) -> HttpResponse:
    chosen = [int(value) for value in request.POST.getlist("file") if value.isascii() and value.isdigit()]
    files = access.files_of(access.me(request), chosen)
    if chosen and "confirmed" not in request.POST:
        return render(request, "confirm.html", _bulk_question(request, files))
    gone, reasons = actions.delete_many(files, access.me(request), request)
    if gone:
        messages.success(request, ngettext("%(n)d video deleted.", "%(n)d videos deleted.", gone) % {"n": gone})
    elif not reasons:
        messages.info(request, _("Nothing was chosen."))
    for reason in reasons:
        messages.error(request, reason)
    return back(request, "library:list")


@login_required
@require_POST
def refresh(request: HttpRequest, file_id: int) -> HttpResponse:
    file = access.file_of(access.me(request), file_id)
    try:
        actions.refresh(file, access.me(request), request)
        messages.info(request, _("«%(file)s» is being read again.") % {"file": file})
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("library:show", file.pk)


def _delete_question(file: VideoFile) -> dict[str, object]:
    return {
        "title": _("Delete «%(file)s»?") % {"file": file},
        "text": _("The video is removed from the storage. This cannot be undone."),
        "action": _("Delete"),
        "back": reverse("library:show", args=[file.pk]),
    }


def _bulk_question(request: HttpRequest, files: list[VideoFile]) -> dict[str, object]:
    carried = {"file": [file.pk for file in files], "confirmed": True, "next": request.POST.get("next", "")}
    return {
        "title": _("Delete the chosen videos?"),
        "text": get_text_list([f"«{file}»" for file in files], _("and")),
        "action": _("Delete"),
        "back": reverse("library:list"),
        "form": ChosenForm(initial=carried),
    }
