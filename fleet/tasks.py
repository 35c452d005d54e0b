"""Background jobs of the fleet: ids in, one function called.

They have a queue and a worker of their own: a server takes minutes, and neither a Start nor a film may wait behind it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import dramatiq
from django.utils import timezone

from fleet import looking
from fleet.provision import runner
from fleet.rollouts import lifecycle as rollouts
from kit.actors import send_after_commit

QUEUE: Final = "fleet"
_LIMIT_MS: Final = 1_800_000
_LOOK_LIMIT_MS: Final = 180_000
_AFTERWARDS: Final = 10
"""In dramatiq's order of priority: a server that somebody provisions, and watches, goes first."""


@dramatiq.actor(
    actor_name="fleet_provision", queue_name=QUEUE, time_limit=_LIMIT_MS, max_retries=0, notify_shutdown=True
)
def provision(run_id: int) -> None:
    if not runner.run(run_id):
        send_after_commit(provision, run_id)
        return
    go_on_with_rollout(timezone.now())


def go_on_with_rollout(now: datetime) -> None:
    """Queues the next upgrade of the one that is at work, when it is its turn."""
    for run_id in rollouts.go_on(now):
        send_after_commit(provision, run_id, robust=True)


@dramatiq.actor(
    actor_name="fleet_look_outside", queue_name=QUEUE, time_limit=_LOOK_LIMIT_MS, max_retries=0, priority=_AFTERWARDS
)
def look_outside(*vps_ids: int) -> None:
    """At a lot of servers. What fails is in their rows; the next round looks again."""
    looking.look_at_due(vps_ids, timezone.now())
