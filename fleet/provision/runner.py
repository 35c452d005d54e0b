"""A run (provisioning, upgrade, decommissioning) from its first step to its last, by one worker. Whoever takes it up
later goes on where it stopped. An upgrade that fails, or is cancelled, after the agent was begun anew goes back by
itself.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

import structlog
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from agent import protocol
from fleet.models import ProvisionRun, ProvisionStep, RunKind, StepStatus, Vps
from fleet.provision import detached, gating, lifecycle, planning, redis_access, upgrading
from fleet.provision.errors import SshError
from fleet.provision.keeping import Cancelled, Keeper, TakenOver
from fleet.provision.session import Session
from fleet.provision.ssh import Ssh
from fleet.provision.step import Step, Verb
from fleet.provision.stepping import Outcome, StepFailed, Stepper
from fleet.provision.steps import Plan, decommission_steps, steps, upgrade_steps
from fleet.provision.upgrade import Verdict
from kit.crypto import CannotOpenError

log = structlog.get_logger(__name__)
LOOK_EVERY_S: Final = 0.25
OVER: Final = (StepStatus.CHANGED, StepStatus.UNCHANGED)


def run(run_id: int) -> bool:
    """Does what is left of it. False: the worker ends, and the run is to be queued again."""
    worker = lifecycle.take(run_id, timezone.now())
    if worker is None:
        return True
    row = ProvisionRun.objects.select_related("vps").get(pk=run_id)
    structlog.contextvars.bind_contextvars(vps=row.vps_id, provisioning=run_id)
    with _settled(row, worker) as settle:
        try:
            _Runner(row, worker).go()
            settle(lifecycle.finish(row, worker))
        except StepFailed as failure:
            settle(lifecycle.fail(row, worker, str(failure)))
        except CannotOpenError as error:
            settle(lifecycle.fail(row, worker, _("Its password or key does not open: %(why)s.") % {"why": error}))
        except Cancelled:
            settle(lifecycle.cancel(row, worker))
        except TakenOver:
            settle(True)
        except TimeLimitExceeded:
            settle(lifecycle.fail(row, worker, _("It took longer than half an hour.")))
        except Shutdown:
            settle(True)
            log.info("provision.handed_back")
            return not lifecycle.hand_back(run_id, worker)
    log.info("provision.ended", status=ProvisionRun.objects.values_list("status", flat=True).get(pk=run_id))
    return True


@contextlib.contextmanager
def _settled(row: ProvisionRun, worker: uuid.UUID) -> Iterator[_Settle]:
    """Whatever else happens is a bug: the run has failed, and the error goes its way."""
    settle = _Settle()
    try:
        yield settle
    finally:
        if not settle.is_done:
            lifecycle.fail(row, worker, _("Something went wrong on our side; the log of the worker says what."))


class _Settle:
    is_done = False

    def __call__(self, _held: bool) -> None:
        self.is_done = True


class _Runner:
    def __init__(self, row: ProvisionRun, worker: uuid.UUID) -> None:
        self._row = row
        self._vps = row.vps
        self._keeper = Keeper(row, worker)
        self._session = Session(lambda: planning.target_of(self._vps), self._keeper.tick, self._opened)
        self._stepper = Stepper(self._session, self._keeper, self._verb)
        self._plan: Plan | None = None
        self._restarted_at: datetime | None = None
        """When its agent was last begun anew by this run."""

    def go(self) -> None:
        wanted = self._wanted()
        lifecycle.lay_out(self._row, [(step.name, step.title) for step in wanted])
        rows = {row.name: row for row in self._row.steps.all()}
        with contextlib.closing(self._session):
            try:
                for step in wanted:
                    if rows[step.name].state in OVER:
                        self._note_restart(step, rows[step.name].state is StepStatus.CHANGED, rows[step.name].ended_at)
                    else:
                        self._do(step, rows[step.name])
            except (StepFailed, Cancelled) as ended:
                if self._row.what is RunKind.UPGRADE:
                    self._turn_back(ended)
                raise

    def _wanted(self) -> tuple[Step, ...]:
        if self._row.what is RunKind.DECOMMISSION:
            self._keeper.redact.learn(self._vps.password(), self._vps.private_key())
            return decommission_steps()
        self._plan = plan = planning.plan_for(self._vps)
        self._keeper.redact.learn(*planning.secrets_of(self._vps, plan, redis_access.access_for(self._vps)))
        if self._row.what is RunKind.PROVISION:
            return steps(plan)
        if protocol.bundle_of(self._row.to_version) != upgrading.hash_of(plan.agent):
            raise StepFailed(_("This control plane brings another agent by now. Look at it, then upgrade anew."))
        return upgrade_steps(plan)

    def _turn_back(self, ended: StepFailed | Cancelled) -> None:
        """Whatever is pressed meanwhile. Raises `StepFailed` with what came of it, unless it was cancelled and went
        well."""
        begun = self._row.steps.filter(name=upgrading.SERVICE).exclude(status=StepStatus.WAITING)
        is_other = protocol.bundle_of(self._row.from_version) != protocol.bundle_of(self._row.to_version)
        if self._plan is None or not is_other or not begun.exists():
            return
        self._keeper.is_deaf = True
        why = str(ended) or _("Cancelled.")
        try:
            for step in upgrading.back(self._plan.agent):
                self._do(step, lifecycle.add_step(self._row, step.name, step.title))
        except StepFailed as failure:
            raise StepFailed(_("%(why)s And the way back failed: %(how)s") % {"why": why, "how": failure}) from ended
        if isinstance(ended, StepFailed):
            raise StepFailed(_("%(why)s It went back: the agent before is heard again.") % {"why": why}) from ended

    def _do(self, step: Step, row: ProvisionStep) -> None:
        self._keeper.begin(row)
        try:
            outcome = self._heartbeat(step) if step.is_heartbeat else self._stepper.do(step)
        except StepFailed as failure:
            self._keeper.end(StepStatus.FAILED, str(failure), failure.remedy)
            words = self._keeper.redact(f"«{step.title}»: {failure}")
            raise StepFailed(words, failure.remedy) from failure
        except Cancelled:
            self._end_detached(step)
            self._keeper.end(StepStatus.FAILED, _("Cancelled."))
            raise
        status = StepStatus.CHANGED if outcome.is_changed else StepStatus.UNCHANGED
        self._keeper.end(status, outcome.note)
        self._note_restart(step, outcome.is_changed, timezone.now())

    # ---------------------------------------------------------------------------------------- parts

    def _note_restart(self, step: Step, is_changed: bool, at: datetime | None) -> None:
        if is_changed and step.name in (upgrading.SERVICE, upgrading.BACK):
            self._restarted_at = at

    def _opened(self, ssh: Ssh) -> None:
        """The key that was trusted at first use is the one from now on."""
        if not self._vps.host_key and Vps.objects.filter(pk=self._vps.pk, host_key="").update(host_key=ssh.host_key):
            self._vps.host_key = ssh.host_key
            self._keeper.line(_("— its host key was taken on trust and is pinned now —"))

    def _verb(self, verb: Verb) -> None:
        match verb:
            case Verb.NEW_CONNECTION:
                self._session.renew()
            case Verb.NEW_CONNECTION_BY_KEY:
                self._session.renew(replace(planning.target_of(self._vps), by_key_only=True))
            case Verb.FORGET_PASSWORD:
                Vps.objects.filter(pk=self._vps.pk).update(sealed_password="")
                self._vps.sealed_password = ""

    def _heartbeat(self, step: Step) -> Outcome:
        """Heard since the agent was started; or lately, when nothing was."""
        began = timezone.now()
        since = max(self._restarted_at or began - settings.HEARTBEAT_FRESH, began - settings.HEARTBEAT_FRESH)
        while True:
            waited_s = (timezone.now() - began).total_seconds()
            verdict, words = gating.judge(step, gating.look(self._vps, since, self._restarted_at), waited_s)
            if verdict is Verdict.PASSED:
                return Outcome(self._restarted_at is not None, words)
            if verdict is Verdict.FAILED:
                self._stepper.tell_why(step)
                raise StepFailed(words, step.remedy)
            self._session.pause(LOOK_EVERY_S)

    def _end_detached(self, step: Step) -> None:
        """A tick would raise again at once, so the connection is asked without."""
        with contextlib.suppress(SshError, Cancelled):
            ssh = self._session.open()
            ssh.on_tick = None
            ssh.run(detached.end(step.name))
