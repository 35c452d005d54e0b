"""What can happen to an agent. Commands of the protocol are events too, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.journal import Record
from agent.protocol import Ping, StartStream, SteerStream, StopStream, TestDestination, UpdateStream
from agent.state import Playing


@dataclass(frozen=True, slots=True)
class MediaCached:
    """A prepared file was found on the disk when the agent began."""

    key: str
    path: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class MediaEvicted:
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


@dataclass(frozen=True, slots=True)
class MediaComplete:
    key: str
    path: str
    duration_s: float | None
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MediaFailed:
    key: str
    reason: str
    permanent: bool
    log: tuple[str, ...] = ()


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
class Tick:
    pass


@dataclass(frozen=True, slots=True)
class Shutdown:
    pass


MediaEvent = MediaCached | MediaEvicted | MediaProgress | MediaReady | MediaComplete | MediaFailed
PlayoutEvent = PlayoutStarted | PlayoutStatus | PlayoutExited | Adopted
Event = (
    StartStream
    | UpdateStream
    | StopStream
    | SteerStream
    | TestDestination
    | Ping
    | MediaEvent
    | PlayoutEvent
    | RelaysLoaded
    | Tick
    | Shutdown
)
