"""What the agent knows: plain, frozen data. `decide` alone makes the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from agent.profile import Profile
from agent.protocol import DestinationState, InputState, Steered, StreamConfig, VideoFile
from agent.validate import bad_item, cache_key

ENDED_REMEMBERED: Final = 256
STEERED_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """One file's way to the disk, known by its cache key."""

    status: str = "fetching"
    """fetching, preparing (all here, not playable yet), ready (its beginning plays), complete or failed."""
    path: str = ""
    done: int = 0
    total: int = 0
    duration_s: float | None = None
    reason: str = ""
    retry_at: float | None = None
    """Failed for now: when to try again. None: for good, until a command brings a new address."""
    profile: Profile | None = None
    """Known as soon as it is playable."""

    @property
    def playable(self) -> bool:
        return self.status in ("ready", "complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slate:
    """One slate of one profile, known by its cache key."""

    status: str = "making"
    """making, ready or failed."""
    path: str = ""
    retry_at: float | None = None
    """As of `Media`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Playing:
    """The playout's own account of itself (its STATUS line)."""

    phase: str
    item_id: int | None = None
    file_id: int | None = None
    position_s: float = 0.0
    duration_s: float | None = None
    items_played: int = 0
    next_item_ids: tuple[int, ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()
    """(file_id, reason)"""
    bitrate_kbps: float = 0.0
    slate: str | None = None
    """Why the slate is on air."""
    paused: bool = False
    input: InputState | None = None
    restart_from: float | None = None
    restart_by: float | None = None
    destinations: tuple[DestinationState, ...] = ()

    @property
    def shows_an_item(self) -> bool:
        return self.phase == "playing" and self.item_id is not None

    @property
    def reaches_somebody(self) -> bool:
        return any(each.state == "live" and each.bytes_sent > 0 for each in self.destinations)


@dataclass(frozen=True, kw_only=True)
class Order:
    """A START_STREAM as it was taken: the configuration, and when the control plane said it."""

    config: StreamConfig
    said_at: float
    reach_private: bool = False
    """Live inputs may be at private addresses."""

    @cached_property
    def files(self) -> dict[str, VideoFile]:
        """The distinct files of the playlist by cache key, in its order. A live input is none."""
        found: dict[str, VideoFile] = {}
        for item in self.config.video_files:
            if not item.live_url:
                found.setdefault(cache_key(item), item)
        return found

    @cached_property
    def bad_items(self) -> dict[int, str]:
        """By item id, why it never plays, in plain words."""
        reasons = {item.item_id: bad_item(item, self.reach_private) for item in self.config.video_files}
        return {item_id: reason for item_id, reason in reasons.items() if reason}

    @cached_property
    def has_live(self) -> bool:
        """A live input that can be tried."""
        return any(item.live_url and item.item_id not in self.bad_items for item in self.config.video_files)

    @cached_property
    def fingerprint(self) -> str:
        return self.config.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a run ended, or will once its playout is gone."""

    status: str
    message: str
    permanent: bool = False
    """It would end the same way on any server."""


STOPPED: Final = Verdict(status="STOPPED", message="stopped")
FINISHED: Final = Verdict(status="STOPPED", message="finished")
REPLACED: Final = Verdict(status="STOPPED", message="replaced by a newer run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One stream held. `pid` is its playout; `spawning`: one is ordered and has not yet answered."""

    order: Order
    begun_at: float
    spawning: bool = False
    pid: int | None = None
    ticks: int | None = None
    spawned_at: float | None = None
    adopted: bool = False
    """Its playout was begun by an earlier agent."""
    on_air_since: float | None = None
    playing: Playing | None = None
    aired: bool = False
    """An item of its list has been on air: when nothing of it plays any more the slate does, and it goes on."""
    failures: int = 0
    hurried: bool = False
    """Its playout died on air and was replaced at once; the new one has not yet proven itself."""
    restarts: int = 0
    restart_reason: str = ""
    """How its last playout ended."""
    retry_at: float | None = None
    stopping_since: float | None = None
    rung: int = 0
    """How far up the stop ladder: 1 asked, 2 SIGTERM, 3 SIGKILL."""
    verdict: Verdict | None = None
    successor: Order | None = None
    told: str = ""
    """The furthest stage of progress said so far."""
    said_unreached: bool = False
    relays: Mapping[int, str] = field(default_factory=dict)
    """Destinations that nginx here answers for, and the local keys they are published under."""
    relays_failed: Mapping[int, str] = field(default_factory=dict)

    @property
    def config(self) -> StreamConfig:
        return self.order.config

    @property
    def stream_id(self) -> int:
        return self.config.id

    @property
    def run_id(self) -> str:
        return self.config.run_id

    @property
    def has_process(self) -> bool:
        return self.spawning or self.pid is not None

    @property
    def files(self) -> dict[str, VideoFile]:
        return self.order.files


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    stream_id: int
    epoch: int
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    vps_id: int
    max_streams: int | None = None
    on_exit: str = "handover"
    reach_private: bool = False
    nginx_port: int = 1935
    runs: Mapping[int, Run] = field(default_factory=dict)
    """By stream: never two of one stream."""
    media: Mapping[str, Media] = field(default_factory=dict)
    slates: Mapping[str, Slate] = field(default_factory=dict)
    steered: Mapping[str, Steered | None] = field(default_factory=dict)
    """The latest orders by id and what came of them (None: not known yet): a command may come twice."""
    ended: Mapping[str, Ended] = field(default_factory=dict)
    """The latest runs that ended here, by run id: a late command cannot bring them back."""
    leaving_since: float | None = None

    @property
    def accepting(self) -> bool:
        return self.leaving_since is None
