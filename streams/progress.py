"""What browsers are told: one kind of message, a poke, to the groups of a stream and of its owner's list.

A page joins its group, then renders a snapshot, then applies events; the poke carries no state, so a lost or
doubled one does no harm.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.utils import timezone

from kit.actors import after_commit
from streams.models import Progress

Pokes = dict[tuple[int, int], bool]
"""By stream and owner: whether pages should hurry (a state changed), or may wait their second (a counter moved)."""

_collected: ContextVar[Pokes | None] = ContextVar("collected_pokes", default=None)
CHANGED: Final = "stream.changed"
LIST_CHANGED: Final = "list.changed"


def stream_group(stream_id: int) -> str:
    return f"stream.{stream_id}"


def list_group(user_id: int) -> str:
    return f"user.{user_id}.streams"


def changed(stream_id: int, *, urgent: bool) -> dict[str, Any]:
    return {"type": CHANGED, "stream_id": stream_id, "urgent": urgent}


def poke(stream_id: int, owner_id: int, *, urgent: bool = True) -> None:
    """Tells open pages after the commit that this stream changed. From synchronous code."""
    collected = _collected.get()
    key = (stream_id, owner_id)
    if collected is not None:
        after_commit(lambda: collected.update({key: urgent or collected.get(key, False)}))
    else:
        after_commit(lambda: async_to_sync(send)({key: urgent}), robust=True)


def poke_list(owner_id: int) -> None:
    """Tells the owner's open lists after the commit that a stream came or went. From synchronous code."""
    after_commit(lambda: async_to_sync(_send_list_changed)(owner_id), robust=True)


async def _send_list_changed(owner_id: int) -> None:
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(list_group(owner_id), {"type": LIST_CHANGED})


@contextmanager
def collecting() -> Iterator[Pokes]:
    """Gathers the pokes of a batch instead of sending them one by one; the caller sends them."""
    pokes: Pokes = {}
    token = _collected.set(pokes)
    try:
        yield pokes
    finally:
        _collected.reset(token)


async def send(pokes: Pokes) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    for (stream_id, owner_id), urgent in pokes.items():
        for group in (stream_group(stream_id), list_group(owner_id)):
            await layer.group_send(group, changed(stream_id, urgent=urgent))


def record(
    stream_id: int, owner_id: int, run_id: uuid.UUID, stage: str, percent: int, message: str,
    now: datetime | None = None,
) -> bool:  # fmt: skip
    """Writes one step of a start (STR-7) and pokes. False when the newest row says the same already."""
    newest = Progress.objects.filter(run_id=run_id).values_list("stage", "percent", "message").first()
    if newest == (stage, percent, message[:300]):
        return False
    Progress.objects.create(
        stream_id=stream_id, run_id=run_id, stage=stage, percent=percent, message=message[:300],
        at=now or timezone.now(),
    )  # fmt: skip
    poke(stream_id, owner_id)
    return True
