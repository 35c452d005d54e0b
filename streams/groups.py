"""The groups of states a list of streams can be narrowed to, and how many there are of each."""

from __future__ import annotations

from typing import Final

from django.db.models import Count

from streams.models import ON_AIR, Status, StreamQuerySet

GROUPS: Final = {"on_air": ON_AIR, "off_air": (Status.INACTIVE,), "failed": (Status.ERROR,)}


def numbers(streams: StreamQuerySet) -> dict[str, int]:
    """By name of the group; of all under the empty name. One query."""
    by_status = dict(streams.order_by().values_list("status").annotate(Count("pk")))
    of_group = {name: sum(by_status.get(each, 0) for each in group) for name, group in GROUPS.items()}
    return of_group | {"": sum(by_status.values())}
