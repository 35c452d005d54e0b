"""What can happen to an agent. Commands of the protocol are events too, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.journal import Record
from agent.profile import Profile
from agent.protocol import (
    Ping,
    ProcessFacts,
    Query,
    StartStream,
    SteerStream,
    StopStream,
    TestDestination,
    UpdateStream,
)
from agent.state import Playing


@dataclass(frozen=True, slots=True)
class MediaCached:
    """A prepared file was found on the disk when the agent began."""

    key: str
    path: str
    duration_s: float | None
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class MediaEvicted:
    """Of a slate too."""

    key: str


@dataclass(frozen=True, slots=True)
class MediaProgress:
    key: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class MediaReady:
    """The beginning of the prepared file plays; the rest is still being written."""

    key: str
    path: str
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class MediaComplete:
    key: str
    path: str
    duration_s: float | None
    log: tuple[str, ...] = ()
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class MediaFailed:
    key: str
    reason: str
    permanent: bool
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlateReady:
    key: str
    path: str
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SlateFailed:
    key: str
    reason: str
    permanent: bool
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SteerAnswered:
    """What the playout made of an order; `message` says why not."""

    stream_id: int
    run_id: str
    order_id: str
    ok: bool
    message: str = ""
    item_id: int | None = None


@dataclass(frozen=True, slots=True)
class TrialEnded:
    test_id: str
    state: str
    message: str
    took_ms: int


@dataclass(frozen=True, slots=True)
class Inquired:
    """What was found of a question, as `protocol.Answered`."""

    query_id: str
    ok: bool
    message: str
    processes: tuple[ProcessFacts, ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlayoutStarted:
    stream_id: int
    run_id: str
    pid: int
    ticks: int


@dataclass(frozen=True, slots=True)
class PlayoutStatus:
    run_id: str
    playing: Playing


@dataclass(frozen=True, slots=True)
class PlayoutExited:
    """Its process is gone, or never came (`pid` None). `reason` is from its exit.json, None when killed."""

    stream_id: int
    run_id: str
    pid: int | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class PlayoutHung:
    """Its process is there and answers nothing."""

    stream_id: int
    run_id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A run found in the journal when the agent began, its playout alive or not."""

    record: Record
    alive: bool
    reason: str | None
    away_s: float
    """How long no agent was here."""


@dataclass(frozen=True, slots=True)
class RelaysLoaded:
    """What nginx on this server pushes of a stream now, by destination: the local key to publish under, or why not."""

    stream_id: int
    loaded: Mapping[int, str]
    failed: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class ClockSet:
    """The wall clock was stepped: ahead, or back if `by_s` is below 0."""

    by_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    pass


@dataclass(frozen=True, slots=True)
class Shutdown:
    pass


MediaEvent = MediaCached | MediaEvicted | MediaProgress | MediaReady | MediaComplete | MediaFailed
SlateEvent = SlateReady | SlateFailed
PlayoutEvent = PlayoutStarted | PlayoutStatus | PlayoutExited | PlayoutHung | Adopted | SteerAnswered
Event = (
    StartStream
    | UpdateStream
    | StopStream
    | SteerStream
    | TestDestination
    | Query
    | Ping
    | MediaEvent
    | SlateEvent
    | PlayoutEvent
    | TrialEnded
    | Inquired
    | RelaysLoaded
    | ClockSet
    | Tick
    | Shutdown
)
