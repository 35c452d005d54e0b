"""What `decide` can ask for. `core.perform` does it; nothing else does anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.journal import Record
from agent.profile import Profile
from agent.protocol import PushUrl, SlateFile, StreamStatus, UpMessage, VideoFile


@dataclass(frozen=True, slots=True)
class Obtain:
    """Fetch and prepare the file, or say at once that it is here. `urgent`: a run has nothing to play."""

    key: str
    item: VideoFile
    urgent: bool


@dataclass(frozen=True, slots=True)
class Abandon:
    """Stop obtaining it; what came so far goes."""

    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    key: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The keys in use: never evicted until the next `Hold`."""

    keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class WritePlan:
    run_id: str
    plan: dict[str, Any] = field(repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Spawn:
    stream_id: int
    run_id: str
    resume: bool


@dataclass(frozen=True, slots=True)
class MakeSlate:
    """Have a slate of this profile, of the owner's own file or else FFmpeg's, or say at once that it is here."""

    key: str
    profile: Profile
    file: SlateFile | None


@dataclass(frozen=True, slots=True)
class Steer:
    """Give the order to the run's playout and say what it answered."""

    stream_id: int
    run_id: str
    order_id: str
    order: str
    item_id: int | None
    destination_id: int | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """A real session with a destination, and how it went."""

    test_id: str
    push: PushUrl


@dataclass(frozen=True, slots=True)
class Inquire:
    """Look at this server, and say what is there."""

    query_id: str
    what: str
    lines: int


@dataclass(frozen=True, slots=True)
class AskNext:
    """Leave the item on air: its file will not grow any more."""

    run_id: str


@dataclass(frozen=True, slots=True)
class AskToStop:
    run_id: str


@dataclass(frozen=True, slots=True)
class Signal:
    run_id: str
    number: int


@dataclass(frozen=True, slots=True)
class Remember:
    record: Record


@dataclass(frozen=True, slots=True)
class Forget:
    """The run is over: its journal, plan and socket go, its log is put aside."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Relay:
    """All that nginx on this server is to push, by stream."""

    wanted: dict[int, tuple[PushUrl, ...]] = field(hash=False)


@dataclass(frozen=True, slots=True)
class AppendLog:
    run_id: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    message: UpMessage


@dataclass(frozen=True, slots=True)
class Report:
    """A status with the last lines of the run's log."""

    message: StreamStatus


@dataclass(frozen=True, slots=True)
class Poke:
    """Something a heartbeat carries has changed: send one now."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the agent's own log."""

    level: str
    text: str
    stream_id: int | None = None
    run_id: str | None = None
    request_id: str | None = None
    """Of the click that led to it, where one did (OPS-5)."""
    error_type: str | None = None
    retry_count: int | None = None
    will_retry: bool | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    pass


Action = (
    Obtain
    | Abandon
    | Delete
    | Hold
    | WritePlan
    | MakeSlate
    | Spawn
    | Steer
    | Try
    | Inquire
    | AskNext
    | AskToStop
    | Signal
    | Remember
    | Forget
    | Relay
    | AppendLog
    | Publish
    | Report
    | Poke
    | Note
    | Exit
)
