"""The systemd unit of the agent: deploy/ezstream-agent.service, which is put on a server as it is."""

from __future__ import annotations

from functools import cache
from typing import Final

from django.conf import settings

NAME: Final = "ezstream-agent.service"


@cache
def content() -> bytes:
    path = settings.BASE_DIR / "deploy" / NAME
    return bytes(path.read_bytes())
