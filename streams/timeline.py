"""A stream's timeline: what people and time did to its state, and what happened on air, as one list."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from accounts.models import User
from streams import telling
from streams.lifecycle import Event
from streams.models import EndReason, Run, RunEvent, Status, Stream, Transition

ROWS: Final = 50
RUN_ROWS: Final = 200

_EVENTS: Final[dict[str, Promise | str]] = {
    Event.START: gettext_lazy("Start pressed"),
    Event.LIVE: gettext_lazy("On air: the first bytes were taken"),
    Event.INTERRUPTED: gettext_lazy("Interrupted: it is to be started again"),
    Event.MOVED: gettext_lazy("Moved to another server"),
    Event.STOP: gettext_lazy("Stop pressed"),
    Event.STOPPED: gettext_lazy("Off air"),
    Event.FAILED: gettext_lazy("Failed"),
    Event.FORCED: gettext_lazy("Ended by an operator"),
    Event.TIMED_OUT: gettext_lazy("Given up after too long a silence"),
}


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """`event` is the word of the transition, or the kind of what happened on air."""

    at: datetime
    event: str
    words: str
    tone: str
    message: str
    actor: str
    run_id: uuid.UUID | None


def of_stream(stream: Stream, most: int = ROWS) -> tuple[TimelineRow, ...]:
    """Newest first; two queries."""
    transitions = stream.transitions.select_related("actor").order_by("-at", "-id")[:most]
    return merged(transitions, stream.events.select_related("actor")[:most], most)


def of_run(run: Run, most: int = RUN_ROWS) -> tuple[TimelineRow, ...]:
    transitions = run.transitions.select_related("actor").order_by("-at", "-id")[:most]
    return merged(transitions, run.events.select_related("actor")[:most], most)


def merged(transitions: Iterable[Transition], events: Iterable[RunEvent], most: int) -> tuple[TimelineRow, ...]:
    """Of the same moment, what happened on air lies under what it led to."""
    rows = [*map(_transition, transitions), *map(_event, events)]
    return tuple(sorted(rows, key=lambda row: row.at, reverse=True)[:most])


def _transition(row: Transition) -> TimelineRow:
    message = "" if row.message == EndReason.STOPPED else row.message  # the event says it already
    words = str(_EVENTS.get(row.event, row.event))
    return TimelineRow(row.at, row.event, words, Status(row.new).tone, message, _name(row.actor), row.run_id)


def _event(row: RunEvent) -> TimelineRow:
    told = telling.tell(row.kind, row.facts)
    return TimelineRow(row.at, row.kind, told.words, told.tone, "", _name(row.actor), row.run_id)


def _name(actor: User | None) -> str:
    return actor.name or actor.email if actor else ""
