from __future__ import annotations

import time
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet import actions, console
from fleet.errors import Refused
from fleet.models import ProvisionRun, Rollout, RolloutStatus, RunStatus, StepStatus, Vps
from fleet.rollouts import lifecycle

LOOK_EVERY_S: Final = 0.25
LIMIT_S: Final = 3600.0


class Command(BaseCommand):
    help = (
        "Upgrades agents over SSH, one server after another, and waits: the next begins when the new agent of the one "
        "before is heard. Fails when one fails; it has gone back to the agent before then, and the rest is as it was. "
        "A worker of the queue «fleet» does it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", nargs="*", help="names of VPSes")
        parser.add_argument("--all", action="store_true", help="every VPS in service whose agent is another one")
        parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds to wait at most; it goes on then")

    def handle(self, *args: Any, vps: list[str], limit: float, **options: Any) -> None:
        if bool(vps) == options["all"]:
            raise CommandError("name VPSes, or say --all")
        chosen = [console.one(name) for name in vps] if vps else self._all()
        if not chosen:
            self.stdout.write("every agent is of this version already")
            return
        try:
            rollout = actions.roll_out(chosen, None)
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        self.stdout.write(f"{len(chosen)} to agent {rollout.version}: {', '.join(each.name for each in chosen)}")
        self._follow(rollout, time.monotonic() + limit)

    def _all(self) -> list[Vps]:
        try:
            found = lifecycle.wanted(actions.offered_version())
        except Refused as refusal:
            raise CommandError(refusal.message) from refusal
        for vps in found.unreachable:
            self.stdout.write(f"«{vps.name}»: not from here, we cannot sign in there")
        return found.due

    def _follow(self, rollout: Rollout, until: float) -> None:
        told: dict[int, str] = {}
        while True:
            rollout.refresh_from_db()
            for run in rollout.runs.select_related("vps").order_by("pk"):
                line = _line(run)
                if told.get(run.pk) != line:
                    told[run.pk] = line
                    self.stdout.write(f"«{run.vps.name}»: {line}")
                    self.stdout.flush()
            if rollout.ended_at and not rollout.runs.filter(ended_at__isnull=True).exists():
                break
            if time.monotonic() > until:
                raise CommandError("not over yet; it goes on: its page shows how")
            time.sleep(LOOK_EVERY_S)
        self._end(rollout)

    def _end(self, rollout: Rollout) -> None:
        left = [vps.name for vps in lifecycle.waiting(rollout)]
        if rollout.state is not RolloutStatus.DONE:
            rest = f"; left as they are: {', '.join(left)}" if left else ""
            raise CommandError(f"{rollout.reason}{rest}")
        if rollout.reason:
            self.stdout.write(rollout.reason)


def _line(run: ProvisionRun) -> str:
    if run.state is RunStatus.DONE and run.started_at and run.ended_at:
        took = (run.ended_at - run.started_at).total_seconds()
        if run.steps.filter(status=StepStatus.CHANGED).exists():
            return f"{run.from_version or '–'} → {run.to_version} in {took:.0f} s"
        return f"unchanged, it is {run.to_version} already"
    return f"{run.state.label}: {run.reason}" if run.reason else str(run.state.label)
