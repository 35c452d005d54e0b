"""What a provisioning says, on its way into the database: redacted, bounded, once a second."""

from __future__ import annotations

import time
import uuid
from typing import Final

from django.utils import timezone

from fleet.models import ProvisionRun, ProvisionStep, StepStatus
from fleet.provision import lifecycle
from fleet.provision.lines import Redactor, Tail

EVERY_S: Final = 1.0


class Cancelled(Exception):
    """Somebody pressed Cancel."""


class TakenOver(Exception):
    """Another worker has the run: this one was thought dead."""


class Keeper:
    """The log of one run, kept by one worker."""

    def __init__(self, run: ProvisionRun, worker: uuid.UUID) -> None:
        self.run = run
        self.worker = worker
        self.redact = Redactor()
        self.is_deaf = False
        """To Cancel: what is at work must come to its end."""
        self._step: ProvisionStep | None = None
        self._tail = Tail()
        self._command = ""
        self._is_new = False
        self._at = 0.0

    def begin(self, step: ProvisionStep) -> None:
        self._step, self._tail, self._command = step, Tail(), ""
        lifecycle.begin_step(step, self.worker, timezone.now())

    def end(self, status: StepStatus, note: str = "", remedy: str = "") -> None:
        if self._step is not None:
            self.flush()
            lifecycle.end_step(self._step, self.worker, status, note=self.redact(note), remedy=self.redact(remedy))
        self._step = None

    def command(self, words: str) -> None:
        self._command = self.redact(_short(words))
        self.line(f"$ {_short(words)}")

    def line(self, text: str) -> None:
        self._tail.add(self.redact(text))
        self._is_new = True

    def flush(self) -> None:
        if self._is_new and self._step is not None:
            self._is_new = False
            lifecycle.write_output(self._step, self.worker, self._command, self._tail.text)

    def tick(self) -> None:
        """Called all the time. Raises `Cancelled`, `TakenOver`."""
        now = time.monotonic()
        if now - self._at < EVERY_S:
            return
        self._at = now
        self.flush()
        wanted = lifecycle.touch(self.run.pk, self.worker, timezone.now())
        if wanted is None:
            raise TakenOver
        if wanted and not self.is_deaf:
            raise Cancelled


def _short(words: str) -> str:
    """A script is known by its first line."""
    first, *more = words.splitlines() or [""]
    return f"{first[:300]} …" if more or len(first) > 300 else first
