"""The owner's own slate: a picture in the media storage, or a clip of theirs (EDGE-5).

A picture counts against its owner's storage as a video does: there may be one for every stream.
"""

from __future__ import annotations

import uuid
from typing import Final

from django.conf import settings
from django.core import signing
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import quota
from agent.protocol import SlateFile
from media_library.actions import delete_stored, download_url
from media_library.models import VideoFile
from media_library.stills import Still
from media_library.storage import default_disk, media_storage
from media_library.storage.errors import StorageError
from streams.errors import OverLimit, Refused
from streams.models import SlatePicture, Stream
from streams.spec import SlateSpec

_SALT: Final = "streams.slate"


def apply(stream: Stream, slate: SlateSpec) -> None:
    """Makes the stream's slate what was asked for. Inside a transaction, and last in it: bytes are stored."""
    stream.slate_clip_id = slate.clip_id if slate.kind == "clip" else None
    Stream.objects.filter(pk=stream.pk).update(slate_clip_id=stream.slate_clip_id)
    if slate.kind != "picture" or slate.picture is not None:
        drop_picture(stream)
    if slate.kind == "picture" and slate.picture is not None:
        _keep(stream, slate.picture)


def drop_picture(stream: Stream) -> None:
    """Inside a transaction. The bytes go after the commit."""
    picture = picture_of(stream)
    if picture is not None and SlatePicture.objects.filter(pk=picture.pk).delete()[0]:
        quota.release_storage(stream.owner_id, used=picture.size)
        delete_stored(picture.disk, picture.stored_name)


def picture_of(stream: Stream) -> SlatePicture | None:
    return SlatePicture.objects.filter(stream=stream).first()


def still_of(stream: Stream) -> Still | None:
    """The picture's own bytes, to be kept once more with a copy of the stream."""
    picture = picture_of(stream)
    if picture is None:
        return None
    try:
        with media_storage(picture.disk).open(picture.stored_name) as content:
            return Still(picture.original_name, content.read())
    except StorageError:
        return None  # a copy without it is worth more than none


def _keep(stream: Stream, still: Still) -> None:
    size = len(still.jpeg)
    try:
        quota.reserve_storage(stream.owner_id, size)
    except quota.OverQuota as error:
        raise OverLimit(str(error)) from error
    quota.settle_storage(stream.owner_id, reserved=size, used=size)
    row = SlatePicture.objects.create(
        stream=stream,
        disk=default_disk(),
        stored_name=f"slates/{stream.owner_id}-{uuid.uuid4()}.jpg",
        original_name=still.name,
        size=size,
        sha256=still.sha256,
    )
    try:
        media_storage(row.disk).save(row.stored_name, ContentFile(still.jpeg))
    except StorageError as error:
        raise Refused(_("The picture could not be stored: %(why)s") % {"why": error.meaning}) from error


# ------------------------------------------------------------------------------------------------ for the agent


def slate_file(stream: Stream) -> SlateFile | None:
    """What the stream's agent fetches; None: the slate that it makes by itself."""
    if stream.slate_clip is not None:
        return _clip(stream.slate_clip)
    picture = picture_of(stream)
    return _picture(picture) if picture else None


def _clip(file: VideoFile) -> SlateFile:
    return SlateFile(
        file_id=file.pk,
        kind="clip",
        filename=file.stored_name,
        download_url=download_url(file),
        size=file.size,
        sha256=file.sha256 or None,
    )


def _picture(picture: SlatePicture) -> SlateFile:
    return SlateFile(
        file_id=picture.pk,
        kind="picture",
        filename=picture.stored_name.rpartition("/")[2],
        download_url=picture_url(picture),
        size=picture.size,
        sha256=picture.sha256,
    )


def picture_url(picture: SlatePicture) -> str:
    """Where an agent fetches the picture for the next DOWNLOAD_URL_LIFETIME."""
    storage = media_storage(picture.disk)
    if not storage.is_local:
        url: str = storage.url(picture.stored_name)
        return url
    token = signing.TimestampSigner(salt=_SALT).sign(str(picture.pk))
    base: str = settings.AGENT_MEDIA_URL.rstrip("/")
    return base + reverse("streams:slate_out", args=[token])


def signed_picture(token: str) -> SlatePicture | None:
    """The picture a token names, None when it was replaced. Raises signing.BadSignature, also for an old one."""
    unsigned = signing.TimestampSigner(salt=_SALT).unsign(token, max_age=settings.DOWNLOAD_URL_LIFETIME)
    return SlatePicture.objects.filter(pk=int(unsigned)).first()
