"""What is done again and again (OPS-3): the table. To add a job, add a row; `ops.scheduler` does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """`call` is the dotted path of a function that takes no arguments or `now`, and returns what to note.

    Exactly one of `every` and `daily_at` (UTC) is set. `lease`: for how long one scheduler keeps others off;
    longer than the job ever takes.
    """

    name: str
    call: str
    takes_now: bool = False
    every: timedelta | None = None
    daily_at: time | None = None
    lease: timedelta = timedelta(minutes=10)

    def next_after(self, now: datetime) -> datetime:
        if self.every is not None:
            return now + self.every
        today = datetime.combine(now.astimezone(UTC).date(), self.daily_at or time(), UTC)
        return today if today > now else today + timedelta(days=1)


JOBS: Final = (
    Periodic(name="stop hanging streams", call="streams.hanging.force_stop_hanging", every=timedelta(minutes=5)),
    Periodic(
        name="expire uploads",
        call="media_library.actions.expire_uploads",
        takes_now=True,
        every=timedelta(hours=1),
    ),
    Periodic(
        name="retry deletions",
        call="media_library.actions.retry_deletions",
        every=timedelta(minutes=5),
    ),
    Periodic(
        name="requeue stuck files",
        call="media_library.actions.requeue_stuck",
        takes_now=True,
        every=timedelta(minutes=10),
    ),
    Periodic(name="clean progress", call="streams.hanging.clean_progress", daily_at=time(2, 0)),
    Periodic(
        name="check VPSes",
        call="fleet.checkups.check_all",
        takes_now=True,
        every=timedelta(minutes=5),
    ),
    Periodic(
        name="check unhealthy VPSes again",
        call="fleet.checkups.check_unhealthy",
        takes_now=True,
        every=timedelta(minutes=1),
    ),
    Periodic(name="check Redis", call="ops.redis_health.check_and_fix", takes_now=True, every=timedelta(minutes=10)),
    Periodic(name="clean run events", call="streams.hanging.clean_events", daily_at=time(2, 15)),
    Periodic(name="forget dead processes", call="ops.processes.forget_dead", takes_now=True, every=timedelta(hours=1)),
)
