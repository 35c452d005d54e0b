"""What the page of a rollout is rendered from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fleet.models import ProvisionRun, Rollout, RunStatus, Vps
from fleet.rollouts.lifecycle import waiting


@dataclass(frozen=True, slots=True)
class Row:
    """`run` None: it has not had its turn."""

    vps: Vps
    run: ProvisionRun | None = None

    @property
    def seconds(self) -> float | None:
        run = self.run
        return (run.ended_at - run.started_at).total_seconds() if run and run.ended_at and run.started_at else None


def context(rollout: Rollout) -> dict[str, Any]:
    """In two queries, however many. `rollout` comes with its actor."""
    runs = list(rollout.runs.select_related("vps").order_by("pk"))
    rows = [*(Row(run.vps, run) for run in runs), *(Row(vps) for vps in waiting(rollout))]
    return {
        "rollout": rollout,
        "rows": rows,
        "done": sum(run.state is RunStatus.DONE for run in runs),
        "total": len(rows),
        "current": next((run for run in runs if not run.is_over), None),
    }


def open_one() -> dict[str, Any] | None:
    """The context of the one at work."""
    rollout = Rollout.objects.filter(ended_at__isnull=True).select_related("actor").first()
    return context(rollout) if rollout else None
