"""What agents say, applied to the database. A message of another run, epoch or VPS changes nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db import DataError, IntegrityError
from django.utils.translation import gettext as _

from agent.protocol import Heartbeat, Pong, RunReport, StreamProgress, StreamStatus, UpMessage
from fleet import heartbeats
from fleet.minutes import Minutes
from kit.logs import mask
from streams import converge, interrupting, lifecycle, progress, reports
from streams.errors import WrongState
from streams.lifecycle import Event
from streams.models import Run, Status
from streams.restart import Cause
from streams.samples import Sampler

log = structlog.get_logger(__name__)
WRITE_EVERY: Final = timedelta(seconds=1)
LOG_LINES: Final = 200
FINISHED: Final = "finished"
"""What an agent says of a list that came to its end (docs/protocol.md)."""


class Inbox:
    """Applies messages. Keeps in memory what it last wrote of each run, to write at most once a second unless
    something changed that people look at; several inboxes at once do no harm."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.sampler = Sampler()
        self.minutes = Minutes()
        self._written: dict[str, tuple[datetime, tuple[Any, ...]]] = {}

    def apply(self, messages: Iterable[UpMessage], now: datetime) -> progress.Pokes:
        """What browsers should hear of, once the batch is in the database."""
        with progress.collecting() as pokes:
            for message in newest_heartbeats(messages):
                self.counts["received"] += 1
                self._apply_or_count(message, now)
        return pokes

    def _apply_or_count(self, message: UpMessage, now: datetime) -> None:
        """What the database cannot hold (a NUL, a number out of range), and what is about something that is deleted in
        this moment, must not stop the messages behind it."""
        try:
            self._apply(message, now)
        except ObjectDoesNotExist:
            self.counts["late"] += 1
        except (DataError, IntegrityError, ValueError) as error:
            self.counts["unstorable"] += 1
            log.warning("inbox.unstorable", vps=message.vps_id, error=type(error).__name__)

    def _apply(self, message: UpMessage, now: datetime) -> None:
        match message:
            case StreamStatus():
                self._status(message, now)
            case StreamProgress():
                self._progress(message, now)
            case Heartbeat():
                self._heartbeat(message, now)
            case Pong():
                heartbeats.apply_pong(message, now)

    # ---------------------------------------------------------------------------------------- one run's

    def _current(self, run_id: str, stream_id: int, vps_id: int, epoch: int | None) -> Run | None:
        """The run the message is about, if it is the stream's current one and on that VPS."""
        run = _find(run_id)
        why = _why_refused(run, stream_id, vps_id, epoch)
        if why is not None:
            self.counts[why] += 1
            log.info("inbox.refused", why=why, vps=vps_id, stream=stream_id)
            return None
        return run

    def _status(self, message: StreamStatus, now: datetime) -> None:
        epoch = message.run.epoch if message.run else message.epoch
        run = self._current(message.run_id, message.stream_id, message.vps_id, epoch)
        if run is None:
            return
        if message.run is not None:
            self._report(run, message.run, message.timestamp, now)
        if message.log_tail:
            lines = [mask(line)[:500] for line in message.log_tail[-LOG_LINES:]]
            Run.objects.filter(pk=run.pk).update(log_tail=lines)
        if message.status == "STREAMING":
            self._live(run, now)
        else:
            self._ended(run, message, now)

    def _live(self, run: Run, now: datetime) -> None:
        if run.stream.state is Status.STARTING and not interrupting.on_air(run, now):
            self.counts["late"] += 1

    def _ended(self, run: Run, message: StreamStatus, now: datetime) -> None:
        """As it was wanted, because the list came to its end, or otherwise: then it goes on elsewhere."""
        words = mask(message.message)
        if run.stream.state in interrupting.INTERRUPTIBLE and message.message != FINISHED:
            done = interrupting.interrupt(run, _cause(message), _unasked(message, words), now)
        else:
            done = self._fire(run, Event.STOPPED if message.status == "STOPPED" else Event.FAILED, words, now)
        self.counts["late"] += not done

    def _fire(self, run: Run, event: Event, message: str, now: datetime) -> bool:
        try:
            lifecycle.fire(run.stream_id, event, run_id=run.pk, epoch=run.epoch, message=message, now=now)
        except WrongState:
            return False
        return True

    def _progress(self, message: StreamProgress, now: datetime) -> None:
        run = self._current(message.run_id, message.stream_id, message.vps_id, None)
        if run is not None and run.stream.state is Status.STARTING:
            words = mask(message.message)
            progress.record(run.stream_id, run.stream.owner_id, run.pk, message.stage, message.progress, words, now)

    # ---------------------------------------------------------------------------------------- a VPS's

    def _heartbeat(self, heartbeat: Heartbeat, now: datetime) -> None:
        if not heartbeats.apply_heartbeat(heartbeat, now):
            self.counts["unknown_vps"] += 1
            return
        self.minutes.take(heartbeat, now)
        runs = _find_all([report.run_id for report in heartbeat.runs])
        for report in heartbeat.runs:
            run = runs.get(report.run_id)
            if run is None or run.vps_id != heartbeat.vps_id or run.epoch != report.epoch:
                continue
            self._report(run, report, heartbeat.timestamp, now)
            self.sampler.take(report, now)
            if report.phase == "on_air" and run.stream.run_id == run.pk:
                self._live(run, now)
        converge.converge(heartbeat.vps_id, heartbeat.runs, now)

    def _report(self, run: Run, report: RunReport, said_at: float, now: datetime) -> None:
        changed = self._has_changed(report)
        if not changed and self._was_just_written(report, now):
            return
        reports.write(run, report, said_at, now)
        self._written[report.run_id] = (now, visible(report))
        if run.stream.run_id == run.pk:
            progress.poke(run.stream_id, run.stream.owner_id, urgent=changed)

    def _has_changed(self, report: RunReport) -> bool:
        before = self._written.get(report.run_id)
        return before is None or before[1] != visible(report)

    def _was_just_written(self, report: RunReport, now: datetime) -> bool:
        return now - self._written[report.run_id][0] < WRITE_EVERY

    def forget(self, before: datetime) -> None:
        """Drops what is remembered of runs not heard of since."""
        self.sampler.forget(before)
        self._written = {run_id: row for run_id, row in self._written.items() if row[0] >= before}


def _cause(message: StreamStatus) -> Cause:
    """A VPS that lets go of what it holds is as good as gone."""
    if message.status == "STOPPED":
        return Cause.LOST
    return Cause.HOPELESS if message.permanent else Cause.GAVE_UP


def _unasked(message: StreamStatus, words: str) -> str:
    return words if message.status == "ERROR" else _("its server let go of it")


def visible(report: RunReport) -> tuple[Any, ...]:
    """What people look at, apart from counters that always move."""
    states = tuple((each.id, each.state, each.reason) for each in report.destinations)
    source = (report.item_id, report.slate, report.paused, report.input, report.next_item_ids)
    return (report.epoch, report.phase, source, report.skipped, report.restarts, states)


def newest_heartbeats(messages: Iterable[UpMessage]) -> list[UpMessage]:
    """The batch in order, without heartbeats that a later one of the same VPS overtakes."""
    batch = list(messages)
    last = {message.vps_id: index for index, message in enumerate(batch) if isinstance(message, Heartbeat)}
    return [
        message
        for index, message in enumerate(batch)
        if not isinstance(message, Heartbeat) or last[message.vps_id] == index
    ]


def _why_refused(run: Run | None, stream_id: int, vps_id: int, epoch: int | None) -> str | None:
    if run is None or run.stream_id != stream_id:
        return "unknown_run"
    if run.vps_id != vps_id:
        return "foreign_vps"
    if run.stream.run_id != run.pk or (epoch is not None and epoch != run.epoch):
        return "old_run"
    return None


def _find(run_id: str) -> Run | None:
    return _find_all([run_id]).get(run_id)


def _find_all(run_ids: list[str]) -> dict[str, Run]:
    keys = [key for key in map(_uuid, run_ids) if key is not None]
    return {str(run.pk): run for run in Run.objects.select_related("stream").filter(pk__in=keys)}


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
