"""What would make accounts unsafe or useless, said before the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

_PRIVATE_CACHES = ("locmem.LocMemCache", "dummy.DummyCache", "filebased.FileBasedCache")
_QUIET_MAIL = ("console", "dummy", "locmem", "filebased")


@register(Tags.security)
def limits_need_a_shared_cache(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    backend = str(settings.CACHES["default"]["BACKEND"])
    if not backend.endswith(_PRIVATE_CACHES):
        return []
    return [
        Error(
            f"Failed sign-ins are counted in «{backend}», which processes do not share.",
            hint="Set CACHES to Redis (REDIS_URL).",
            id="accounts.E001",
        )
    ]


@register(Tags.security, deploy=True)
def addresses_behind_a_proxy(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.ALLAUTH_TRUSTED_PROXY_COUNT or not settings.SECURE:
        return []
    return [
        Warning(
            "SITE_URL is https, but no proxy is trusted: everybody seems to come from the proxy's address, and "
            "one person's failed sign-ins lock all of them out.",
            hint="Set TRUSTED_PROXY_COUNT to the number of proxies in front (1 for nginx).",
            id="accounts.W001",
        )
    ]


@register(Tags.security, deploy=True)
def mail_reaches_people(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not any(f".{quiet}." in settings.EMAIL_BACKEND for quiet in _QUIET_MAIL):
        return []
    return [
        Warning(
            "E-mails are not sent, so nobody can reset a password.",
            hint="Set EMAIL_URL, for example smtp+tls://user:password@mail.example.org:587.",
            id="accounts.W002",
        )
    ]
