"""What an agent uses to reach Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings

from fleet.models import Vps


@dataclass(frozen=True, slots=True)
class RedisAccess:
    """`url` carries the password. `ca`: certificates (PEM) it is checked against besides the system's; empty: none."""

    url: str = field(repr=False)
    ca: str = ""

    @property
    def password(self) -> str:
        return urlsplit(self.url).password or ""


def access_for(vps: Vps) -> RedisAccess:
    """Idempotent: asked again, it gives the same until it is rotated."""
    return RedisAccess(settings.AGENT_REDIS_PUBLIC_URL)
