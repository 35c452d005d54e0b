"""What the page of a provisioning is rendered from, the same by GET, by poll and by socket."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.template.loader import render_to_string

from fleet.models import ProvisionRun, ProvisionStep, StepStatus

TAIL_LINES: Final = 40
"""Of a step at work, each second anew. The page has more of those that are over."""
WHOLE_LINES: Final = 400
LATELY: Final = timedelta(seconds=5)
"""Steps that ended this lately are sent again: their last lines came with their end."""


@dataclass(frozen=True, slots=True)
class StepRow:
    step: ProvisionStep
    output: str
    is_open: bool


def context(run: ProvisionRun, now: datetime, *, everything: bool = True) -> dict[str, Any]:
    """`everything` False: what may have changed since a moment ago. `run` comes with its VPS and actor."""
    steps = list(run.steps.all())
    over = sum(step.state in (StepStatus.CHANGED, StepStatus.UNCHANGED) for step in steps)
    shown = steps if everything else [step for step in steps if _is_fresh(step, now)]
    seconds = ((run.ended_at or now) - run.started_at).total_seconds() if run.started_at else None
    return {
        "run": run,
        "vps": run.vps,
        "rows": [_row(step) for step in shown],
        "over": over,
        "total": len(steps),
        "changed": sum(step.state is StepStatus.CHANGED for step in steps),
        "failed": next((step for step in steps if step.state is StepStatus.FAILED), None),
        "seconds": seconds,
    }


def _is_fresh(step: ProvisionStep, now: datetime) -> bool:
    return step.started_at is not None and (step.ended_at is None or step.ended_at > now - LATELY)


def _row(step: ProvisionStep) -> StepRow:
    is_open = step.state in (StepStatus.RUNNING, StepStatus.FAILED)
    lines = step.output.splitlines()[-(TAIL_LINES if step.state is StepStatus.RUNNING else WHOLE_LINES) :]
    return StepRow(step, "\n".join(lines), is_open)


def live_html(run: ProvisionRun, now: datetime, *, everything: bool) -> str:
    """The live parts, each to be put in the place of the one of its id."""
    return render_to_string("admin/fleet/provisionrun/live.html", context(run, now, everything=everything))
