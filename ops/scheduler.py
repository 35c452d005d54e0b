"""Runs what `ops.schedule` lists. A lease in the job's row lets one scheduler run a job; another takes over when
the first dies with it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from django.db import close_old_connections
from django.utils import timezone
from django.utils.module_loading import import_string

from kit.alive import say_alive
from kit.ending import end_within
from kit.metrics import JOB_SECONDS
from ops.models import Job
from ops.schedule import JOBS, Periodic

log = structlog.get_logger(__name__)
LOOK_S: Final = 5.0


PATIENCE_S: Final = 5.0
"""How long the job in hand may go on after the scheduler was told to end."""


class CutOff(BaseException):
    """The scheduler ends and the job in hand takes too long. Not an `Exception`: no job is to survive it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    succeeded: bool
    note: str
    again: bool = False
    """Was cut off: whoever comes next does it at once."""


def run_until_told(jobs: Sequence[Periodic] = JOBS) -> None:
    """Until SIGTERM or SIGINT. The job in hand is finished; one that takes too long is cut off, what it had not
    committed is undone, and it is due at once. From the main thread."""
    stop = threading.Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()
        end_within()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGALRM, _cut_off)
    run_for_ever(stop, jobs)
    signal.setitimer(signal.ITIMER_REAL, 0)


def _cut_off(_number: int, _frame: object) -> None:
    if _in_a_job:
        raise CutOff


_in_a_job: list[str] = []
"""The name of the job in hand: nothing else may be cut off."""


def run_for_ever(stop: threading.Event, jobs: Sequence[Periodic] = JOBS) -> None:
    """Until `stop` is set; the job in hand is finished."""
    register(jobs, timezone.now())
    while not stop.is_set():
        close_old_connections()
        say_alive("scheduler")
        for job in jobs:
            if not stop.is_set():
                run_if_due(job, timezone.now())
        stop.wait(LOOK_S)


def register(jobs: Sequence[Periodic], now: datetime) -> None:
    """A row per job; those no longer in the table go."""
    for job in jobs:
        Job.objects.get_or_create(name=job.name, defaults={"next_run_at": job.next_after(now)})
    Job.objects.exclude(name__in=[job.name for job in jobs]).delete()


def run_if_due(job: Periodic, now: datetime) -> bool:
    """True when this scheduler ran it."""
    if not claim(job, now):
        return False
    began = time.monotonic()
    outcome = _run(job, now)
    took_s = time.monotonic() - began
    JOB_SECONDS.labels(job.name, "done" if outcome.succeeded else "failed").observe(took_s)
    _settle(job, now, outcome, took_s)
    return True


def claim(job: Periodic, now: datetime) -> bool:
    """One conditional UPDATE: of many schedulers, one gets the lease."""
    due = Job.objects.filter(name=job.name, next_run_at__lte=now)
    return due.update(next_run_at=now + job.lease, last_started_at=now) == 1


def _run(job: Periodic, now: datetime) -> Outcome:
    try:
        result = _call(job, now)
    except CutOff:
        log.warning("scheduler.job_cut_off", job=job.name)
        return Outcome(False, "cut off by the end of the scheduler; due again at once", again=True)
    except Exception as error:
        log.exception("scheduler.job_failed", job=job.name)
        return Outcome(False, f"{type(error).__name__}: {error}"[:500])
    return Outcome(True, _noted(job, result)[:500])


def _noted(job: Periodic, result: object) -> str:
    return "" if result is None else f"{result} {job.counts}".strip()


def _call(job: Periodic, now: datetime) -> object:
    call = import_string(job.call)
    _in_a_job.append(job.name)
    try:
        return call(now) if job.takes_now else call()
    finally:
        _in_a_job.clear()


def _settle(job: Periodic, began_at: datetime, outcome: Outcome, took_s: float) -> None:
    """Only while the lease is still ours: a job that outlived it has been started by another."""
    ours = Job.objects.filter(name=job.name, last_started_at=began_at)
    ours.update(
        next_run_at=timezone.now() if outcome.again else job.next_after(timezone.now()),
        last_duration_s=took_s,
        last_result=outcome.note,
        last_succeeded=outcome.succeeded,
    )
    log.info("scheduler.job_done", job=job.name, took_s=round(took_s, 3), succeeded=outcome.succeeded)
