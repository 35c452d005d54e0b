"""An agent's report of a run, written down: the report itself, what happened since the last one, seconds off air.

Several listeners hear the same report. What happened is told under the run's lock, from the memory that lies beside
the report, so it is told once; a report that is older than the one that was written changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from agent.protocol import RunReport, as_dict
from kit import bulk
from kit.conflicts import again_on_conflict
from streams import airing, happenings, sent, visible
from streams.happenings import Happening, Memory
from streams.models import PlaylistItem, Run, RunEvent, StreamDestination

WRITE_EVERY: Final = timedelta(seconds=8)
"""A report that changes nothing people look at is written so long after the last one: every other heartbeat."""
MOST_RECONNECTS: Final = 2**31 - 1
OLDER_S: Final = 60.0
"""A report said to be so much older than the last one is no latecomer: its agent's clock was set back."""


@dataclass(frozen=True)
class Word:
    """What an agent said of a run; `said_at`: when it left the agent, by its clock."""

    run_id: uuid.UUID
    report: RunReport
    said_at: float

    @cached_property
    def body(self) -> dict[str, Any]:
        """The report as it is stored."""
        return as_dict(self.report)


@again_on_conflict
@transaction.atomic
def write(words: Iterable[Word], now: datetime) -> dict[uuid.UUID, bool | None]:
    """The last word of each run counts. By run that was written: whether pages should hurry; None where they show it
    already."""
    by_run = {word.run_id: word for word in words}
    columns: dict[uuid.UUID, dict[str, Any]] = {}
    events: list[RunEvent] = []
    hurry: dict[uuid.UUID, bool | None] = {}
    for row in _locked(by_run):
        word = by_run[row.run_id]
        if row.epoch != word.report.epoch or _is_late(row, word):
            continue
        told, memory = _tell(row, word, now)
        report = word.body | {"memory": memory}
        columns[row.run_id] = _columns(report, now)
        events += (_event(row, one, now) for one in told)
        hurry[row.run_id] = visible.hurry(row.report, report, since_s(row.reported_at, now))
    RunEvent.objects.bulk_create(events)
    bulk.update_rows(Run, columns)
    return hurry


@dataclass(frozen=True, slots=True)
class _Row:
    run_id: uuid.UUID
    stream_id: int
    epoch: int
    report: dict[str, Any] | None
    reported_at: datetime | None

    @property
    def memory(self) -> Memory:
        return (self.report or {}).get("memory") or {}


def _locked(run_ids: Iterable[uuid.UUID]) -> list[_Row]:
    rows = bulk.locked(Run, run_ids).values_list("pk", "stream_id", "epoch", "report", "reported_at")
    return [_Row(*row) for row in rows]


@again_on_conflict
@transaction.atomic
def steered(run: Run, order: str, on_air: PlaylistItem | None, item_id: int | None) -> None:
    """What an agent answered to an order is its newest word, moments before its report: pages show it at once.

    `on_air`: the item that is on air now, None for the slate; `item_id`: what the order was about.
    """
    locked = Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    now = timezone.now()
    report = dict(locked.report or {})
    report["position_s"] = airing.position_s(report, since_s(locked.reported_at, now))
    if order == "play_next":
        report["next_item_ids"] = [item_id, *report.get("next_item_ids", ())][:3]
    elif on_air is not None:
        report |= {"slate": None, "paused": False}
        if order != "resume" or report.get("item_id") != on_air.pk:
            report |= {"item_id": on_air.pk, "position_s": 0.0, "duration_s": on_air.file and on_air.file.duration_s}
    elif order == "pause":
        report |= {"slate": report.get("slate") or _("paused"), "paused": True}
    Run.objects.filter(pk=run.pk).update(report=report, reported_at=now)


def _is_late(row: _Row, word: Word) -> bool:
    """By one clock only: under another epoch it was another VPS's."""
    if (row.report or {}).get("epoch") != word.report.epoch:
        return False
    newest: float = row.memory.get("said_at", word.said_at)
    return 0 < newest - word.said_at < OLDER_S


def since_s(reported_at: datetime | None, now: datetime) -> float:
    return max(0.0, (now - reported_at).total_seconds()) if reported_at else 0.0


def _tell(row: _Row, word: Word, now: datetime) -> tuple[list[Happening], Memory]:
    skew = now.timestamp() - word.said_at
    told, left = happenings.tell(row.memory, word.report, now.timestamp(), skew, NamesOf(row.stream_id))
    return told, left | {"said_at": word.said_at, "sent": sent.count(row.memory.get("sent"), word.report)}


def _event(row: _Row, told: Happening, now: datetime) -> RunEvent:
    return RunEvent(stream_id=row.stream_id, run_id=row.run_id, kind=told.kind, facts=told.facts, at=now)


def _columns(report: dict[str, Any], now: datetime) -> dict[str, Any]:
    reconnects = sum(each["reconnects"] for each in report["destinations"])
    return {"report": report, "reported_at": now, "reconnects": min(reconnects, MOST_RECONNECTS)}


class NamesOf:
    """What a stream's destinations and items are called; asked of the database only when there is something to tell."""

    def __init__(self, stream_id: int) -> None:
        self._stream_id = stream_id

    def output(self, output_id: int) -> str:
        return self._outputs.get(output_id) or _("a destination that has left")

    def item(self, item_id: int) -> str:
        return self._items.get(item_id) or _("an item that has left the playlist")

    @cached_property
    def _outputs(self) -> dict[int, str]:
        rows = StreamDestination.objects.filter(stream_id=self._stream_id)
        return dict(rows.values_list("pk", "destination__name"))

    @cached_property
    def _items(self) -> dict[int, str]:
        rows = PlaylistItem.objects.filter(stream_id=self._stream_id).select_related("file", "live")
        return {row.pk: row.title for row in rows}
