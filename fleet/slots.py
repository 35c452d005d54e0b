"""A VPS's slots. A run holds one that names the VPS and has not given it back; so they are counted, never kept."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

from fleet.models import Vps, VpsStatus


class OutsideTransactionError(RuntimeError):
    """A slot can be taken only in the transaction that writes who holds it."""


def lock_with_room(vps_id: int, now: datetime) -> bool:
    """Locks the VPS until the commit. True when it may take one more run; the caller then writes it down.

    Two takers queue at the lock, and the second counts what the first wrote: a VPS is never overfilled.
    """
    if not connection.in_atomic_block:
        raise OutsideTransactionError("lock_with_room needs the transaction that takes the slot")
    vps = Vps.objects.select_for_update(no_key=True).filter(pk=vps_id).first()
    if vps is None or vps.state is not VpsStatus.ACTIVE or vps.unhealthy:
        return False
    if not vps.accepting or not vps.is_reachable(now):
        return False
    return held(vps_id) < vps.max_streams


def held(vps_id: int) -> int:
    """Also by those that have not quite left."""
    vps = Vps(pk=vps_id)
    return vps.runs.holding().count() + vps.left_runs.leaving().count()
