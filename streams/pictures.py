"""The live picture of a run: taken by its agent, kept in the cache for a minute, shown on the stream's page."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

import redis
import structlog
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.urls import reverse

from streams.errors import Refused
from streams.models import Run

log = structlog.get_logger(__name__)
_SALT: Final = "streams.picture"
MAX_BYTES: Final = 200 * 1024
KEPT_S: Final = 60
_JPEG: Final = b"\xff\xd8\xff"


def upload_url(run: Run) -> str:
    """Where the run's agent puts its pictures; good as long as the run is the one on air."""
    token = signing.Signer(salt=_SALT).sign(str(run.pk))
    base: str = settings.AGENT_MEDIA_URL.rstrip("/")
    return base + reverse("streams:picture_in", args=[token])


def signed_run(token: str) -> Run | None:
    """The run a token names, while it is its stream's current one and not over. Raises signing.BadSignature."""
    run_id = uuid.UUID(signing.Signer(salt=_SALT).unsign(token))
    run = Run.objects.select_related("stream").filter(pk=run_id, ended_at__isnull=True).first()
    return run if run is not None and run.stream.run_id == run.pk else None


def keep(run: Run, jpeg: bytes, now: datetime) -> None:
    """Raises Refused for what is not a small JPEG."""
    if len(jpeg) > MAX_BYTES or not jpeg.startswith(_JPEG):
        raise Refused("not a small JPEG")
    cache.set(_key(run.pk), (now, jpeg), KEPT_S)


def taken_at(run: Run) -> datetime | None:
    """When the picture that can be shown was taken."""
    kept = _kept(run)
    return kept[0] if kept else None


def picture_of(run: Run) -> bytes | None:
    kept = _kept(run)
    return kept[1] if kept else None


def _kept(run: Run) -> tuple[datetime, bytes] | None:
    """None too while Redis is away: a page must not fail for want of a picture."""
    try:
        kept: tuple[datetime, bytes] | None = cache.get(_key(run.pk))
    except redis.RedisError as error:
        log.warning("pictures.unreadable", error=type(error).__name__)
        return None
    return kept


def _key(run_id: uuid.UUID) -> str:
    return f"picture.{run_id}"
