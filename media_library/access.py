"""Looking things up through their owner: the only place of this app that fetches by id."""

from __future__ import annotations

import uuid
from typing import Any, cast

from django.db.models import Count
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from media_library.models import FileStatus, Upload, VideoFile, VideoFileQuerySet


def me(request: HttpRequest) -> User:
    """Who asks; views call it behind `login_required`."""
    return cast(User, request.user)


def file_of(user: User, file_id: int) -> VideoFile:
    """A file of this user. Somebody else's does not exist (404)."""
    file = VideoFile.objects.of(user).filter(pk=file_id).select_related("upload").first()
    if file is None:
        raise Http404(_("You have no such video."))
    return file


def file_seen_by(user: User, file_id: int) -> VideoFile:
    """As `file_of`; operators, who see everybody's streams, see anybody's."""
    files = VideoFile.objects.all() if user.is_staff else VideoFile.objects.of(user)
    file = files.filter(pk=file_id).first()
    if file is None:
        raise Http404(_("You have no such video."))
    return file


def upload_of(user: User, upload_id: uuid.UUID) -> Upload:
    upload = Upload.objects.filter(owner=user, pk=upload_id).select_related("file").first()
    if upload is None:
        raise Http404(_("There is no such upload."))
    return upload


def file_for_agent(file_id: int) -> VideoFile:
    """The file a signed URL names. Not through an owner: the signature is the permission."""
    file = VideoFile.objects.playable().filter(pk=file_id).first()
    if file is None:
        raise Http404(_("The file was deleted."))
    return file


def rows_of(user: User) -> VideoFileQuerySet:
    """This user's files as the list shows them: with their upload and the number of streams that use them."""
    files = VideoFile.objects.of(user).select_related("upload")
    return files.annotate(
        stream_count=Count("playlist_items__stream", distinct=True), slate_count=Count("slate_of", distinct=True)
    )


def row_of(user: User, file_id: int) -> VideoFile:
    file = rows_of(user).filter(pk=file_id).first()
    if file is None:
        raise Http404(_("You have no such video."))
    return file


def streams_with(file: VideoFile) -> list[Any]:
    """The streams that play the file or show it when nothing else can play, by title."""
    # The reverse of streams' own keys: the library stands below streams and imports nothing of it.
    playing = {item.stream for item in file.playlist_items.select_related("stream")}
    return sorted(playing | set(file.slate_of.all()), key=lambda stream: stream.title)


def files_of(user: User, file_ids: list[int]) -> list[VideoFile]:
    """Those of the files that are this user's."""
    return list(VideoFile.objects.of(user).filter(pk__in=file_ids))


def open_uploads(user: User) -> list[Upload]:
    """Uploads of this user that wait for bytes, newest first."""
    rows = Upload.objects.filter(owner=user, file__status=FileStatus.UPLOADING)
    return list(rows.select_related("file").order_by("-created_at"))
