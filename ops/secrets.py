"""Replacing a key of FIELD_KEYS: put the new one first, restart, seal everything again, take the old one out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Model

from fleet.models import RedisUser, Vps
from kit.crypto import is_newest, seal, unseal
from streams.models import Destination, LiveInput


@dataclass(frozen=True, slots=True)
class Column:
    """A column with sealed values. The name in their context is the one they were sealed under."""

    model: type[Model]
    name: str
    context: str


COLUMNS: Final = (
    Column(Destination, "sealed_key", "streams_destination.key"),
    Column(LiveInput, "sealed_url", "streams_liveinput.url"),
    Column(Vps, "sealed_password", "fleet_vps.password"),
    Column(Vps, "sealed_private_key", "fleet_vps.private_key"),
    Column(RedisUser, "sealed_password", "fleet_redisuser.password"),
    Column(RedisUser, "sealed_next_password", "fleet_redisuser.password"),
)


def reseal() -> int:
    """Seals under the newest key what an older one sealed. Returns how many values. Raises CannotOpenError for one
    whose key is gone; what was done before it stays done, and it may be run again."""
    return sum(_reseal(column, row) for column in COLUMNS for row in _sealed_before(column))


def _sealed_before(column: Column) -> Iterator[dict[str, object]]:
    rows = column.model._default_manager.exclude(**{column.name: ""}).values("pk", "secret_id", column.name)
    return (row for row in rows.iterator() if not is_newest(str(row[column.name]), settings.FIELD_KEYS))


def _reseal(column: Column, row: dict[str, object]) -> int:
    """Only while the value is still the one read: somebody may be typing a new one."""
    old, context = str(row[column.name]), f"{column.context}.{row['secret_id']}"
    new = seal(unseal(old, context, settings.FIELD_KEYS), context, settings.FIELD_KEYS)
    return column.model._default_manager.filter(**{"pk": row["pk"], column.name: old}).update(**{column.name: new})
