"""An agent's report of a run, written down: the report itself, what happened since the last one, seconds off air.

Several listeners hear the same report. What happened is told under the run's lock, from the memory that lies beside
the report, so it is told once; a report that is older than the one that was written changes nothing.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from agent.protocol import RunReport
from kit.conflicts import again_on_conflict
from streams import happenings, sent
from streams.happenings import Happening, Memory
from streams.models import PlaylistItem, Run, RunEvent, StreamDestination

MOST_RECONNECTS: Final = 2**31 - 1
OLDER_S: Final = 60.0
"""A report said to be so much older than the last one is no latecomer: its agent's clock was set back."""


def write(run: Run, report: RunReport, said_at: float, now: datetime) -> None:
    """`run` as it was found for this message; `said_at`: when it left the agent, by its clock."""
    memory = _memory(run)
    if _is_late(run, report, said_at):
        return
    told, left = _tell(run, memory, report, said_at, now)
    if told:
        _write_locked(run, report, said_at, now)
        return
    # Another listener that wrote since has heard what we heard.
    unmoved = Run.objects.filter(pk=run.pk, epoch=report.epoch, reported_at=run.reported_at)
    unmoved.update(**_columns(report, left, now))


@again_on_conflict
@transaction.atomic
def _write_locked(run: Run, report: RunReport, said_at: float, now: datetime) -> None:
    locked = Run.objects.select_for_update(no_key=True).filter(pk=run.pk).first()
    if locked is None:  # deleted since, with its stream
        return
    memory = _memory(locked)
    if locked.epoch != report.epoch or _is_late(locked, report, said_at):
        return
    told, left = _tell(locked, memory, report, said_at, now)
    RunEvent.objects.bulk_create(_rows(locked, told, now))
    Run.objects.filter(pk=run.pk).update(**_columns(report, left, now))


@again_on_conflict
@transaction.atomic
def steered(run: Run, order: str, on_air: PlaylistItem | None, item_id: int | None) -> None:
    """What an agent answered to an order is its newest word, moments before its report: pages show it at once.

    `on_air`: the item that is on air now, None for the slate; `item_id`: what the order was about.
    """
    locked = Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    report = dict(locked.report or {})
    if order == "play_next":
        report["next_item_ids"] = [item_id, *report.get("next_item_ids", ())][:3]
    elif on_air is not None:
        report |= {"slate": None, "paused": False}
        if order != "resume" or report.get("item_id") != on_air.pk:
            report |= {"item_id": on_air.pk, "position_s": 0.0, "duration_s": on_air.file and on_air.file.duration_s}
    elif order == "pause":
        report |= {"slate": report.get("slate") or _("paused"), "paused": True}
    Run.objects.filter(pk=run.pk).update(report=report)


def _memory(run: Run) -> Memory:
    return dict((run.report or {}).get("memory") or {})


def _is_late(run: Run, report: RunReport, said_at: float) -> bool:
    """By one clock only: under another epoch it was another VPS's."""
    if (run.report or {}).get("epoch") != report.epoch:
        return False
    newest: float = _memory(run).get("said_at", said_at)
    return 0 < newest - said_at < OLDER_S


def _tell(run: Run, memory: Memory, report: RunReport, said_at: float, now: datetime) -> tuple[list[Happening], Memory]:
    skew = now.timestamp() - said_at
    told, left = happenings.tell(memory, report, now.timestamp(), skew, NamesOf(run.stream_id))
    return told, left | {"said_at": said_at, "sent": sent.count(memory.get("sent"), report)}


def _rows(run: Run, told: list[Happening], now: datetime) -> list[RunEvent]:
    return [RunEvent(stream_id=run.stream_id, run=run, kind=one.kind, facts=one.facts, at=now) for one in told]


def _columns(report: RunReport, memory: Memory, now: datetime) -> dict[str, Any]:
    return {
        "report": dataclasses.asdict(report) | {"memory": memory},
        "reported_at": now,
        "reconnects": min(sum(each.reconnects for each in report.destinations), MOST_RECONNECTS),
    }


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
