"""The audit log's one door: who did what to which object, from where."""

from __future__ import annotations

from allauth.account.adapter import get_adapter
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest

from accounts.models import AuditEntry, User


def record(
    actor: User | None, verb: str, target: models.Model, request: HttpRequest | None = None, **details: object
) -> AuditEntry:
    """Writes one entry. `details` must be JSON and must not hold secrets."""
    return AuditEntry.objects.create(
        actor=actor,
        actor_email=actor.email if actor else "",
        verb=verb,
        target_type=target._meta.label_lower,
        target_id=str(target.pk),
        target_name=str(target)[:300],
        address=address_of(request),
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
