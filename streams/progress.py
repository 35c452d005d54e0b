"""What browsers are told: one kind of message, a poke, to the groups of a stream and of its owner's list.

A page joins its group, then renders a snapshot, then applies events; the poke carries no state, so a lost or
doubled one does no harm (DESIGN 5).
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

Poke = tuple[int, int]
"""Stream and owner."""

_collected: ContextVar[set[Poke] | None] = ContextVar("collected_pokes", default=None)
CHANGED: Final = "stream.changed"


def stream_group(stream_id: int) -> str:
    return f"stream.{stream_id}"


def list_group(user_id: int) -> str:
    return f"user.{user_id}.streams"


def changed(stream_id: int) -> dict[str, Any]:
    return {"type": CHANGED, "stream_id": stream_id}


def poke(stream_id: int, owner_id: int) -> None:
    """Tells open pages after the commit that this stream changed. From synchronous code."""
    collected = _collected.get()
    if collected is not None:
        after_commit(lambda: collected.add((stream_id, owner_id)))
    else:
        after_commit(lambda: async_to_sync(send)({(stream_id, owner_id)}), robust=True)


@contextmanager
def collecting() -> Iterator[set[Poke]]:
    """Gathers the pokes of a batch instead of sending them one by one; the caller sends the set."""
    pokes: set[Poke] = set()
    token = _collected.set(pokes)
    try:
        yield pokes
    finally:
        _collected.reset(token)


async def send(pokes: set[Poke]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    for stream_id, owner_id in pokes:
        for group in (stream_group(stream_id), list_group(owner_id)):
            await layer.group_send(group, changed(stream_id))


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
