"""Signed URLs by which agents fetch files."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.core import signing
from django.urls import reverse

from media_library.models import VideoFile
from media_library.storage import media_storage

_SALT: Final = "media_library.download"


def download_url(file: VideoFile) -> str:
    """Where an agent fetches the file for the next DOWNLOAD_URL_LIFETIME.

    On local disk it is ours and answers ranges of at most 8 MiB; a larger file has to be asked for with a `Range`
    header each time, the first time too. Elsewhere it is the storage's own signed URL.
    """
    storage = media_storage(file.disk)
    if not storage.is_local:
        url: str = storage.url(file.stored_name)
        return url
    token = signing.TimestampSigner(salt=_SALT).sign(str(file.pk))
    base: str = settings.AGENT_MEDIA_URL.rstrip("/")
    return base + reverse("library:download", args=[token])


def signed_file_id(token: str) -> int:
    """The file a token names. Raises signing.SignatureExpired or signing.BadSignature."""
    lifetime = settings.DOWNLOAD_URL_LIFETIME
    return int(signing.TimestampSigner(salt=_SALT).unsign(token, max_age=lifetime))
