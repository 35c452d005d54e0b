"""Deleting a user with all that is theirs, through the verbs of the apps that hold it: rows, bytes and audit agree."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from kit.conflicts import again_on_conflict
from media_library import actions as library
from media_library.errors import InUse
from streams import actions as streams
from streams.errors import WrongState


@again_on_conflict
@transaction.atomic
def delete(user: User, actor: User | None, request: HttpRequest | None = None) -> None:
    """Their streams, then the videos with their bytes, then the account. Raises WrongState while one is on air."""
    check_deletable(user)
    for stream in user.streams.all():
        streams.delete(stream, actor)
    _gone, reasons = library.delete_many(user.video_files.all(), actor, request)
    if reasons:
        raise InUse(" ".join(reasons))
    audit.record(actor, "delete", user, request)
    user.delete()


def check_deletable(user: User) -> None:
    """A VPS would play on without an owner."""
    titles = [f"«{title}»" for title in user.streams.on_air().values_list("title", flat=True)]
    if titles:
        words = _("Not deleted: %(user)s has %(streams)s on air. Stop that first.")
        raise WrongState(words % {"user": user.email, "streams": get_text_list(titles, _("and"))})
