"""How much of what is allowed somebody uses."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import Package, User


@dataclass(frozen=True)
class Usage:
    """Storage in bytes; `storage_taken` counts what uploads have reserved."""

    plan: Package
    storage_used: int
    storage_reserved: int
    streams_on_air: int

    @property
    def storage_taken(self) -> int:
        return self.storage_used + self.storage_reserved

    @property
    def storage_left(self) -> int:
        return max(0, self.plan.max_storage - self.storage_taken)


def usage_of(user: User) -> Usage:
    return Usage(
        plan=user.plan,
        storage_used=user.storage_used,
        storage_reserved=user.storage_reserved,
        # The reverse of Stream.owner: accounts stands below streams and imports nothing of it.
        streams_on_air=user.streams.on_air().count(),
    )
