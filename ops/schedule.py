"""What is done again and again (OPS-3): the table. To add a job, add a row; `ops.scheduler` does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

SUNDAY: Final = 6
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Periodic:
    """`call` is the dotted path of a function that takes no arguments or `now`, and returns what to note.

    Exactly one of `every` and `daily_at` (UTC) is set. `on_the_dot`: at whole multiples of `every`, as a clock shows
    them. `weekday` (Monday is 0): of the days, on this one only. `lease`: for how long one scheduler keeps others
    off; longer than the job ever takes. `counts`: of what, where it returns a number.
    """

    name: str
    call: str
    counts: str = ""
    takes_now: bool = False
    every: timedelta | None = None
    on_the_dot: bool = False
    daily_at: time | None = None
    weekday: int | None = None
    lease: timedelta = timedelta(minutes=10)

    @property
    def rhythm(self) -> str:
        """How often, in words."""
        if self.every is not None:
            minutes = int(self.every.total_seconds() // 60)
            if minutes % 60 == 0:
                return ngettext("every hour", "every %(n)d hours", minutes // 60) % {"n": minutes // 60}
            return ngettext("every minute", "every %(n)d minutes", minutes) % {"n": minutes}
        at = (self.daily_at or time()).strftime("%H:%M UTC")
        if self.weekday is None:
            return _("daily at %(at)s") % {"at": at}
        return _("%(day)s at %(at)s") % {"day": WEEKDAYS[self.weekday], "at": at}

    def next_after(self, now: datetime) -> datetime:
        if self.every is not None:
            since_dot = (now - _EPOCH) % self.every if self.on_the_dot else timedelta()
            return now - since_dot + self.every
        first = datetime.combine(now.astimezone(UTC).date(), self.daily_at or time(), UTC)
        days = (first + timedelta(days=ahead) for ahead in range(9))
        return next(day for day in days if day > now and self.weekday in (None, day.weekday()))


JOBS: Final = (
    Periodic(
        name="check schedules",
        call="streams.scheduling.check",
        counts="streams started, stopped or told",
        takes_now=True,
        every=timedelta(minutes=1),
        on_the_dot=True,
        lease=timedelta(minutes=5),
    ),
    Periodic(
        name="stop hanging streams",
        call="streams.hanging.force_stop_hanging",
        counts="streams resolved",
        every=timedelta(minutes=5),
    ),
    Periodic(
        name="expire uploads",
        call="media_library.actions.expire_uploads",
        counts="uploads given up",
        takes_now=True,
        every=timedelta(hours=1),
    ),
    Periodic(
        name="retry deletions",
        call="media_library.actions.retry_deletions",
        counts="files removed",
        every=timedelta(minutes=5),
    ),
    Periodic(
        name="requeue stuck files",
        call="media_library.actions.requeue_stuck",
        counts="files queued again",
        takes_now=True,
        every=timedelta(minutes=10),
    ),
    Periodic(
        name="clean progress",
        call="streams.hanging.clean_progress",
        counts="lines deleted",
        daily_at=time(2, 0),
    ),
    Periodic(
        name="forget old windows",
        call="streams.scheduling.forget_old",
        counts="windows deleted",
        takes_now=True,
        daily_at=time(2, 10),
    ),
    Periodic(
        name="usage reports",
        call="ops.usage.generate",
        counts="reports made",
        takes_now=True,
        weekday=SUNDAY,
        daily_at=time(3, 0),
    ),
    Periodic(
        name="check VPSes",
        call="fleet.actions.check_all",
        takes_now=True,
        every=timedelta(minutes=5),
    ),
    Periodic(
        name="check unhealthy VPSes again",
        call="fleet.checkups.check_unhealthy",
        takes_now=True,
        every=timedelta(minutes=1),
    ),
    Periodic(
        name="take up lost provisionings",
        call="fleet.actions.take_up_lost",
        takes_now=True,
        every=timedelta(minutes=1),
    ),
    Periodic(name="settle enrolments", call="fleet.enrolling.settle", takes_now=True, every=timedelta(minutes=1)),
    Periodic(
        name="check Redis",
        call="ops.redis_health.check_and_fix",
        takes_now=True,
        every=timedelta(minutes=10),
    ),
    Periodic(
        name="clean run events", call="streams.hanging.clean_events", counts="lines deleted", daily_at=time(2, 15)
    ),
    Periodic(
        name="forget old provisionings",
        call="fleet.forgetting.forget_old",
        counts="provisionings and commands deleted",
        takes_now=True,
        daily_at=time(2, 20),
    ),
    Periodic(
        name="forget dead processes",
        call="ops.processes.forget_dead",
        counts="processes forgotten",
        takes_now=True,
        every=timedelta(hours=1),
    ),
)
