"""The one door to the browsers that watch a provisioning: a poke after the commit, without any state in it."""

from __future__ import annotations

from typing import Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from kit.actors import after_commit

CHANGED: Final = "provision.changed"


def group(run_id: int) -> str:
    return f"provision.{run_id}"


def poke(run_id: int) -> None:
    after_commit(lambda: async_to_sync(_send)(run_id), robust=True)


async def _send(run_id: int) -> None:
    layer = get_channel_layer()
    if layer is not None:
        await layer.group_send(group(run_id), {"type": CHANGED, "run_id": run_id})
