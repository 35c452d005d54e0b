"""Work that takes as long as a test wants: for processes that are told to end in the middle of it.

Files in SLOW_WORK_DIR say what began and what was done.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import dramatiq
from django.db import transaction

SECONDS = float(os.environ.get("SLOW_WORK_S", "1"))


def _say(word: str) -> None:
    with (Path(os.environ["SLOW_WORK_DIR"]) / word).open("a") as file:
        file.write(f"{os.getpid()}\n")


def _work() -> None:
    _say("began")
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        time.sleep(0.05)
    _say("done")


def job() -> str:
    """A periodic job: writes first, in a transaction that is committed at the end."""
    from accounts.models import Package

    with transaction.atomic():
        Package.objects.create(name=f"half-done-{os.getpid()}", max_storage=1, max_concurrent_streams=1)
        _work()
    return "worked"


@dramatiq.actor(max_retries=0)
def act() -> None:
    _work()


def run_scheduler() -> None:
    """`manage.py shell -c 'from tests.slow_work import run_scheduler; run_scheduler()'`."""
    from datetime import timedelta

    from django.utils import timezone

    from ops import scheduler
    from ops.models import Job
    from ops.schedule import Periodic

    Job.objects.update_or_create(name="slow", defaults={"next_run_at": timezone.now()})
    table = [Periodic(name="slow", call="tests.slow_work.job", every=timedelta(hours=1))]
    scheduler.run_until_told(table)


def facts() -> dict[str, Any]:
    """What is in the database of it."""
    from django.utils import timezone

    from accounts.models import Package
    from ops.models import Job

    row = Job.objects.get(name="slow")
    return {
        "half_done": Package.objects.filter(name__startswith="half-done").count(),
        "succeeded": row.last_succeeded,
        "result": row.last_result,
        "due_in_s": (row.next_run_at - timezone.now()).total_seconds(),
    }
