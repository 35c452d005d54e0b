"""One step, done: looked at, made so, looked at again; with patience where patience helps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from django.utils.translation import gettext as _

from fleet.provision import detached, remedies
from fleet.provision.errors import ADVICE, Lost, SshError
from fleet.provision.lines import Lines, Tail
from fleet.provision.session import Session
from fleet.provision.ssh import Result
from fleet.provision.step import Action, Command, Finding, Look, Step, Unfit, Upload, Verb

ASK_EVERY_S: Final = 0.5
WHY_LIMIT_S: Final = 10.0
MOST_LOSSES: Final = 5
"""Of one step: a server that is lost at the same command again and again is not waited for all day."""


class Log(Protocol):
    def command(self, words: str) -> None: ...
    def line(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    is_changed: bool
    note: str = ""


class StepFailed(Exception):
    """`str()`: what happened, for people. `remedy`: what they can do."""

    def __init__(self, words: str, remedy: str = "") -> None:
        super().__init__(words)
        self.remedy = remedy


class _Unwell(Exception):
    """A command failed, or the step is not so although all was done. What was said may make it a known failure."""

    def __init__(self, words: str, said: str) -> None:
        super().__init__(words)
        self.said = said


class Stepper:
    """Does steps over one session. What `Log` is given is not redacted yet."""

    def __init__(self, session: Session, log: Log, verb: Callable[[Verb], None]) -> None:
        self._session = session
        self._log = log
        self._verb = verb
        self._has_acted = False

    def do(self, step: Step) -> Outcome:
        """Raises `StepFailed`."""
        until = time.monotonic() + step.limit_s
        self._has_acted = False
        seen: Counter[str] = Counter()
        while True:
            try:
                return self._once(step, until)
            except Unfit as error:
                raise StepFailed(str(error), error.remedy) from error
            except Lost as error:
                self._return(error, seen, until)
            except SshError as error:
                known = remedies.find(str(error), ())
                raise StepFailed(str(error), _(known.remedy if known else ADVICE.get(error.kind, ""))) from error
            except _Unwell as error:
                self._again_or_fail(step, error, seen, until)

    def _once(self, step: Step, until: float) -> Outcome:
        if step.look is None:
            return Outcome(False)
        first, finding = self._look(step.look)
        if finding.is_so:
            return Outcome(self._has_acted, finding.note)
        for action in step.make(first):
            self._has_acted = True
            self._act(step, action, until)
        last, finding = self._look(step.check or step.look)
        if not finding.is_so:
            raise _Unwell(_("Everything was done, and yet it is not so."), last.said)
        return Outcome(True, finding.note)

    def _look(self, look: Look) -> tuple[Result, Finding]:
        seen = self._session.run(look.argv, limit_s=look.limit_s)
        return seen, look.judge(seen)

    # ---------------------------------------------------------------------------------------- acting

    def _act(self, step: Step, action: Action, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise StepFailed(_("It took longer than %(s)d s.") % {"s": step.limit_s}, _(ADVICE["too_slow"]))
        self._log.command(action.words)
        match action:
            case Upload():
                self._session.put(action)
            case Verb():
                self._verb(action)
            case Command(is_long=True):
                self._follow(step, action, until)
            case Command():
                result = self._session.run(action.argv, min(left, action.limit_s or left), self._log.line)
                if not result.is_ok:
                    raise _failed(action, result.status, result.said)

    def _follow(self, step: Step, command: Command, until: float) -> None:
        """Begins it, or finds it at work, and tells what it says until it ends."""
        self._session.run(detached.begin(step.name, command.argv))
        lines, tail, at = Lines(), Tail(limit=20_000), 0
        while True:
            state = self._ask(step.name, at)
            at = state.at
            for line in lines.feed(state.said.encode()) + (lines.end() if state.is_over else []):
                tail.add(line)
                self._log.line(line)
            if state.is_over:
                break
            if time.monotonic() > until:
                self._session.run(detached.end(step.name))
                raise StepFailed(_("It took longer than %(s)d s.") % {"s": step.limit_s}, _(ADVICE["too_slow"]))
            if state.is_all:
                self._session.pause(ASK_EVERY_S)
        if state.is_gone:
            raise Lost(_("It was ended on the server, as by a reboot."))
        if state.status:
            raise _failed(command, state.status, tail.text)

    def _ask(self, name: str, at: int) -> detached.State:
        """Asked as often as it needs: asking changes nothing."""
        for _attempt in range(MOST_LOSSES):
            try:
                return detached.answer(self._session.run(detached.ask(name, at)))
            except Lost:
                self._log.line(_("— the connection was lost; it goes on there, and we come back —"))
                self._session.come_back()
        raise Lost(_("The connection was lost again and again."))

    # ---------------------------------------------------------------------------------------- failing

    def _return(self, error: Lost, seen: Counter[str], until: float) -> None:
        seen["lost"] += 1
        if seen["lost"] > MOST_LOSSES or time.monotonic() > until:
            raise StepFailed(str(error), _(ADVICE["lost"])) from error
        self._log.line(f"— {error} —")
        try:
            self._session.come_back()
        except SshError as last:
            raise StepFailed(str(last), _(ADVICE.get(last.kind, ""))) from last

    def _again_or_fail(self, step: Step, error: _Unwell, seen: Counter[str], until: float) -> None:
        known = remedies.find(f"{error.said}\n{self.tell_why(step)}", step.failures)
        if known is None:
            raise StepFailed(str(error), step.remedy) from error
        seen[known.words] += 1
        if seen[known.words] > known.tries or time.monotonic() + known.pause_s > until:
            raise StepFailed(_(known.words), _(known.remedy)) from error
        self._log.line(_("— %(what)s Trying again in %(s)d s. —") % {"what": _(known.words), "s": known.pause_s})
        self._session.pause(known.pause_s)

    def tell_why(self, step: Step) -> str:
        """What the step's own witness says of the failure, for the log and for who looks for known ones."""
        if not step.why:
            return ""
        self._log.command(" ".join(step.why))
        try:
            result = self._session.run(step.why, WHY_LIMIT_S, self._log.line)
        except SshError:
            return ""
        return result.said


def _failed(command: Command, status: int, said: str) -> _Unwell:
    words = _("«%(command)s» failed (%(status)d).") % {"command": command.words[:200], "status": status}
    return _Unwell(words, said)
