"""What agents say, applied to the database. A message of another run, epoch or VPS changes nothing."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db import DataError, IntegrityError
from django.utils.translation import gettext as _

from agent.protocol import Heartbeat, Pong, StreamProgress, StreamStatus, UpMessage
from fleet import heartbeats
from kit.logs import mask
from streams import converge, interrupting, lifecycle, moving, progress
from streams.beats import Beats, Found, key_of
from streams.errors import WrongState
from streams.lifecycle import Event
from streams.models import Run, Status
from streams.reports import Word
from streams.restart import Cause

log = structlog.get_logger(__name__)
LOG_LINES: Final = 200
FINISHED: Final = "finished"
"""What an agent says of a list that came to its end (docs/protocol.md)."""


class Inbox:
    """Applies messages: those of a run one by one, heartbeats and pongs together. Several at once do no harm."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.beats = Beats(self.counts)
        self._latencies: deque[tuple[int, float]] = deque()

    def apply(self, messages: Iterable[UpMessage], now: datetime) -> progress.Pokes:
        """What browsers should hear of, once the batch is in the database. Of one VPS nothing overtakes anything."""
        waiting: dict[int, Heartbeat] = {}
        with progress.collecting() as pokes:
            for message in newest_heartbeats(messages):
                self.counts["received"] += 1
                if message.vps_id in waiting:
                    self._beat(waiting, now)
                if isinstance(message, Heartbeat):
                    waiting[message.vps_id] = message
                else:
                    self._safely(lambda each: self._apply(each[0], now), [message])
            self._beat(waiting, now)
            self._write_latencies()
        return pokes

    def hear(self, pong: Pong, now: datetime) -> None:
        """Measures at once, from any thread; written with the next batch."""
        found = heartbeats.latency_ms(pong, now)
        if found is not None:
            self._latencies.append((pong.vps_id, found))

    def _beat(self, waiting: dict[int, Heartbeat], now: datetime) -> None:
        beats = list(waiting.values())
        waiting.clear()
        if beats:
            self._safely(lambda some: self.beats.apply(some, now), beats)

    def _write_latencies(self) -> None:
        found = {}
        while self._latencies:
            vps_id, latency_ms = self._latencies.popleft()
            found[vps_id] = latency_ms
        if found:
            heartbeats.apply_latencies(found)

    def _safely(self, verb: Callable[[Sequence[Any]], None], messages: Sequence[Any]) -> None:
        """What the database cannot hold (a NUL, a number out of range), and what is about something that is deleted in
        this moment, must not stop the messages beside it: together first, then each by itself."""
        try:
            verb(messages)
        except (ObjectDoesNotExist, DataError, IntegrityError, ValueError) as error:
            if len(messages) > 1:
                for message in messages:
                    self._safely(verb, [message])
            else:
                self._count_out(messages[0], error)

    def _count_out(self, message: UpMessage, error: Exception) -> None:
        is_gone = isinstance(error, ObjectDoesNotExist)
        self.counts["late" if is_gone else "unstorable"] += 1
        if not is_gone:
            log.warning("inbox.unstorable", vps=message.vps_id, error=type(error).__name__)

    def _apply(self, message: UpMessage, now: datetime) -> None:
        match message:
            case StreamStatus():
                self._status(message, now)
            case StreamProgress():
                self._progress(message, now)
            case Pong():
                self.hear(message, now)

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
        if moving.has_left(message, now):
            self.counts["left"] += 1
            return
        epoch = message.run.epoch if message.run else message.epoch
        run = self._current(message.run_id, message.stream_id, message.vps_id, epoch)
        if run is None:
            self._let_go(message, epoch, now)
            return
        if message.run is not None:
            word = Word(run.pk, message.run, message.timestamp)
            self.beats.write([(word, Found.of(run))], now)
        if message.log_tail:
            lines = [mask(line)[:500] for line in message.log_tail[-LOG_LINES:]]
            Run.objects.filter(pk=run.pk).update(log_tail=lines)
        if message.status == "STREAMING":
            self._live(run, now)
        else:
            self._ended(run, message, now)

    def _let_go(self, message: StreamStatus, epoch: int | None, now: datetime) -> None:
        run_id = key_of(message.run_id)
        if message.status != "STREAMING" and run_id is not None and epoch is not None:
            converge.keys_are_free(run_id, epoch, now)

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


def _cause(message: StreamStatus) -> Cause:
    """A VPS that lets go of what it holds is as good as gone."""
    if message.status == "STOPPED":
        return Cause.LOST
    return Cause.HOPELESS if message.permanent else Cause.GAVE_UP


def _unasked(message: StreamStatus, words: str) -> str:
    return words if message.status == "ERROR" else _("its server let go of it")


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
    key = key_of(run_id)
    return Run.objects.select_related("stream").filter(pk=key).first() if key else None
