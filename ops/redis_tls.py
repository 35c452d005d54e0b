"""The certificate agents see at Redis: for how long it is good. Looked at from here, where an address that only leads
in from outside may not answer: that says nothing of the certificate, so nothing is said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from kit import certificates
from ops.probes import NotWellError

LIMIT_S: Final = 0.9
"""Twice, to connect and to see it, is still within what readiness waits for."""
WARNED_BEFORE: Final = timedelta(days=30)


def ask() -> timedelta | None:
    """For a probe: how much longer; None when it cannot be seen. Raises NotWellError when it is over."""
    left = _left(timezone.now())
    if left is not None and left <= timedelta():
        raise NotWellError("expired: no agent can connect")
    return left


def warnings(now: datetime) -> Iterator[str]:
    left = _left(now)
    if left is not None and left <= timedelta():
        yield _("the certificate agents see has expired: manage.py redis_certificates")
    elif left is not None and left <= WARNED_BEFORE:
        yield _("the certificate agents see expires in %(n)d days: manage.py redis_certificates") % {"n": left.days}


def _left(now: datetime) -> timedelta | None:
    parts = urlsplit(settings.AGENT_REDIS_PUBLIC_URL)
    if parts.scheme != "rediss" or not parts.hostname:
        return None
    try:
        return certificates.lasts(certificates.served(parts.hostname, parts.port or 6379, LIMIT_S), now)
    except OSError:
        return None
