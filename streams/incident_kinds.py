"""What incidents are told from, and what an incident is: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from streams.spans import Span


class What(StrEnum):
    """What kind of incident."""

    START = "start"
    """It did not come on air."""
    OUTAGE = "outage"
    """It went off air as a whole."""
    PLAYER = "player"
    """The process on air ended by itself."""
    DESTINATION = "destination"
    SLATE = "slate"
    INPUT = "input"
    SKIPPED = "skipped"


class Change(NamedTuple):
    """A transition. Moments are unix seconds."""

    at: float
    event: str
    old: str
    new: str
    message: str
    run_id: str
    heard_at: float | None = None
    """It is known by silence alone, since then."""


class Happened(NamedTuple):
    """A line of what happened on air (`streams.happenings`)."""

    at: float
    kind: str
    facts: Mapping[str, Any]
    run_id: str


class Output(NamedTuple):
    """A destination as it is chosen now."""

    id: int
    name: str
    since: float
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """`ended_at` None: it goes on. `off_s`: seconds off air by destination's name."""

    what: What
    begun_at: float
    ended_at: float | None
    run_id: str
    subject: str = ""
    cause: str = ""
    times: int = 1
    off_s: Mapping[str, float] = field(default_factory=dict)

    @property
    def longest_off_s(self) -> float:
        return max(self.off_s.values(), default=0.0)


@dataclass(slots=True)
class Story:
    """Everything worked out of one stream's history."""

    incidents: list[Incident]
    wanted: list[Span]
    off: dict[int, list[Span]]
    """By destination's id."""
    unwanted: dict[int, list[Span]]
    """While it was switched off."""
