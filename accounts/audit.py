"""The audit log's one door: who did what to which object, from where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest

from accounts.models import AuditEntry, User

_current: Final[ContextVar[HttpRequest | None]] = ContextVar("current_request", default=None)


@contextmanager
def during(request: HttpRequest) -> Iterator[None]:
    """Entries written meanwhile come from where this request came from: verbs need not hand it down."""
    token = _current.set(request)
    try:
        yield
    finally:
        _current.reset(token)


def record(
    actor: User | None, verb: str, target: models.Model, request: HttpRequest | None = None, **details: object
) -> AuditEntry:
    """Writes one entry, of `request` or else of the one in hand. `details` must be JSON and must not hold secrets."""
    return AuditEntry.objects.create(
        actor=actor,
        actor_email=actor.email if actor else "",
        verb=verb,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        target_name=str(target)[:300],
        address=address_of(request or _current.get()),
        details=details,
    )


def address_of(request: HttpRequest | None) -> str | None:
    """The peer's address, None where it has none; proxies are trusted by setting only (TRUSTED_PROXY_COUNT)."""
    if request is None:
        return None
    try:
        return str(get_adapter().get_client_ip(request))
    except PermissionDenied:  # allauth's word for «no address», as behind a unix socket
        return None
