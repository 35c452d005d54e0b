"""What a page shows of a stream: one value, computed from loaded rows. Pages, socket and API render from it.

`load` and `snapshots_for` do the queries (a fixed number, however many streams); `snapshot` does none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import Prefetch, prefetch_related_objects
from django.utils.translation import gettext as _

from kit.logs import mask
from streams.models import (
    DestinationState,
    EndReason,
    Platform,
    PlaylistItem,
    Progress,
    Run,
    Status,
    Stream,
    StreamDestination,
    Transition,
)

TIMELINE_ROWS: Final = 50
NEXT_TITLES: Final = 3


@dataclass(frozen=True, slots=True)
class ProgressView:
    percent: int
    stage: str
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class NowPlaying:
    """`index` counts from 0 in the playlist as it is now; None for an item that has left it."""

    title: str
    position_s: float
    duration_s: float | None
    index: int | None


@dataclass(frozen=True, slots=True)
class DestinationView:
    output_id: int
    destination_id: int
    name: str
    platform: Platform
    state: DestinationState
    since: datetime | None
    reason: str
    bitrate_kbps: float
    reconnects: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class TimelineRow:
    at: datetime
    state: Status
    event: str
    message: str
    actor: str
    run_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    id: int
    title: str
    state: Status
    since: datetime
    headline: str
    failure_reason: str
    progress: ProgressView | None
    """Only while starting."""
    now_playing: NowPlaying | None
    next_titles: tuple[str, ...]
    uptime_s: float | None
    bitrate_kbps: float | None
    destinations: tuple[DestinationView, ...]
    vps: str
    """Name of the VPS that holds it; empty at rest."""
    is_stale: bool
    """Starting or on air as far as we know, but its agent has not been heard of lately."""
    can_start: bool
    can_stop: bool
    can_delete: bool
    items_count: int
    skipped: tuple[str, ...]
    """Items the agent could not play, with the reason, in words."""
    restarts: int
    run_id: uuid.UUID | None
    timeline: tuple[TimelineRow, ...]
    """Newest first; empty in lists."""

    @property
    def is_on_air(self) -> bool:
        return self.state is Status.STREAMING


# ------------------------------------------------------------------------------------------------ loading


def snapshots_for(streams: Sequence[Stream], now: datetime) -> list[Snapshot]:
    """For lists: five queries whatever the number, no timeline."""
    attach(streams)
    return [snapshot(stream, now) for stream in streams]


def load(stream: Stream, now: datetime) -> Snapshot:
    """For one page: with the timeline."""
    attach([stream])
    rows = stream.transitions.select_related("actor").order_by("-at", "-id")[:TIMELINE_ROWS]
    return snapshot(stream, now, rows)


def attach(streams: Sequence[Stream]) -> None:
    """Fills what `snapshot` reads: run and its VPS, playlist, destinations, the newest progress."""
    outputs = StreamDestination.objects.select_related("destination").order_by("id")
    items = PlaylistItem.objects.select_related("file", "live").order_by("position")
    prefetch_related_objects(list(streams), "run__vps", Prefetch("items", items), Prefetch("outputs", outputs))
    _attach_progress([stream for stream in streams if stream.state is Status.STARTING])


def _attach_progress(streams: Iterable[Stream]) -> None:
    by_run = {stream.run_id: stream for stream in streams}
    for row in Progress.objects.filter(run_id__in=list(by_run)).order_by("at", "id"):
        by_run[row.run_id].latest_progress = row  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------------ computing


def snapshot(stream: Stream, now: datetime, timeline: Iterable[Transition] = ()) -> Snapshot:
    """Pure over rows that `attach` loaded."""
    state = stream.state
    report = _live_report(stream)
    run = stream.run
    items = list(stream.items.all())
    stale = is_stale(stream, now)
    destinations = tuple(_destination(output, state, report) for output in stream.outputs.all())
    return Snapshot(
        id=stream.pk,
        title=stream.title,
        state=state,
        since=stream.status_since,
        headline=_headline(stream, destinations, stale),
        failure_reason=stream.failure_reason,
        progress=_progress(stream),
        now_playing=_now_playing(items, report),
        next_titles=_next_titles(items, report),
        uptime_s=_uptime(stream, now),
        bitrate_kbps=report.get("bitrate_kbps"),
        destinations=destinations,
        vps=run.vps.name if run and run.vps and not state.is_resting else "",
        is_stale=stale,
        can_start=state.is_resting,
        can_stop=state in (Status.STARTING, Status.STREAMING)
        or (state is Status.ERROR and is_held_after_end(run, now)),
        can_delete=state.is_resting,
        items_count=len(items),
        skipped=_skipped(items, report),
        restarts=report.get("restarts", 0),
        run_id=stream.run_id,
        timeline=tuple(_timeline_row(row) for row in timeline),
    )


def is_stale(stream: Stream, now: datetime) -> bool:
    """Its agent should be talking about it, and is not."""
    run = stream.run
    if run is None or run.vps is None:
        return False
    if stream.state is Status.STARTING:
        return run.commanded_at is not None and not run.vps.is_reachable(now)
    if stream.state is not Status.STREAMING:
        return False
    return run.reported_at is None or now - run.reported_at > settings.HEARTBEAT_FRESH


def is_held_after_end(run: Run | None, now: datetime) -> bool:
    """The run has ended for us, but its agent reported it since, and lately."""
    if run is None or run.ended_at is None or run.reported_at is None:
        return False
    return run.reported_at > run.ended_at and now - run.reported_at <= settings.HEARTBEAT_FRESH


def _live_report(stream: Stream) -> dict[str, Any]:
    """The agent's word, while it is about now."""
    if stream.state.is_resting or stream.run is None:
        return {}
    return stream.run.report or {}


def _headline(stream: Stream, destinations: tuple[DestinationView, ...], stale: bool) -> str:
    state = stream.state
    if state is Status.STREAMING and not stale and _live_report(stream).get("phase") == "backing_off":
        return _("Interrupted: the player ended by itself and is started again")
    if state is Status.STREAMING:
        return _on_air_headline(destinations, stale)
    return {
        Status.INACTIVE: _("Off air"),
        Status.STARTING: _("Starting; its VPS is silent") if stale else _("Starting"),
        Status.STOPPING: _("Stopping"),
        Status.ERROR: stream.failure_reason or _("Failed"),
    }[state]


def _on_air_headline(destinations: tuple[DestinationView, ...], stale: bool) -> str:
    if stale:
        return _("On air when last heard of; its VPS is silent")
    enabled = [view for view in destinations if view.enabled]
    live = sum(view.state is DestinationState.LIVE for view in enabled)
    if live == len(enabled):
        return _("On air")
    return _("On air at %(live)d of %(all)d destinations") % {"live": live, "all": len(enabled)}


def _progress(stream: Stream) -> ProgressView | None:
    if stream.state is not Status.STARTING:
        return None
    row: Progress | None = getattr(stream, "latest_progress", None)
    if row is None:
        return ProgressView(0, "queued", _("in the queue, waiting for a worker"), stream.status_since)
    return ProgressView(row.percent, row.stage, row.message, row.at)


def _now_playing(items: list[PlaylistItem], report: dict[str, Any]) -> NowPlaying | None:
    if report.get("phase") != "on_air" or report.get("item_id") is None:
        return None
    index = next((at for at, item in enumerate(items) if item.pk == report["item_id"]), None)
    title = items[index].title if index is not None else _("an item that has left the playlist")
    return NowPlaying(title, report.get("position_s", 0.0), report.get("duration_s"), index)


def _next_titles(items: list[PlaylistItem], report: dict[str, Any]) -> tuple[str, ...]:
    titles = {item.pk: item.title for item in items}
    found = [titles[item_id] for item_id in report.get("next_item_ids", ()) if item_id in titles]
    return tuple(found[:NEXT_TITLES])


def _skipped(items: list[PlaylistItem], report: dict[str, Any]) -> tuple[str, ...]:
    titles = {item.pk: item.title for item in items}
    return tuple(
        f"{titles[row['item_id']]}: {row['reason']}" for row in report.get("skipped", ()) if row["item_id"] in titles
    )


def _uptime(stream: Stream, now: datetime) -> float | None:
    run = stream.run
    if stream.state.is_resting or run is None or run.on_air_at is None:
        return None
    return run.duration(now).total_seconds()


def _destination(output: StreamDestination, state: Status, report: dict[str, Any]) -> DestinationView:
    word: dict[str, Any] = next((row for row in report.get("destinations", ()) if row["id"] == output.pk), {})
    shown = _destination_state(output, state, word)
    is_told = shown not in (DestinationState.DISABLED, DestinationState.IDLE)  # else its agent's words are of before
    return DestinationView(
        output_id=output.pk,
        destination_id=output.destination_id,
        name=output.destination.name,
        platform=Platform(output.destination.platform),
        state=shown,
        since=_moment(word.get("since")) if is_told else None,
        reason=mask(word.get("reason") or "") if is_told else "",
        bitrate_kbps=word.get("bitrate_kbps", 0.0) if shown is DestinationState.LIVE else 0.0,
        reconnects=word.get("reconnects", 0),
        enabled=output.enabled,
    )


def _moment(unix: float | None) -> datetime | None:
    """An agent's clock reading; None for one no calendar has."""
    try:
        return datetime.fromtimestamp(unix, UTC) if unix else None
    except (OverflowError, ValueError, OSError):
        return None


def _destination_state(output: StreamDestination, state: Status, word: dict[str, Any]) -> DestinationState:
    if not output.enabled:
        return DestinationState.DISABLED
    if state.is_resting or state is Status.STOPPING:
        return DestinationState.IDLE
    known = word.get("state")
    return DestinationState(known) if known in DestinationState.values else DestinationState.CONNECTING


def _timeline_row(row: Transition) -> TimelineRow:
    actor = row.actor.name or row.actor.email if row.actor else ""
    message = "" if row.message == EndReason.STOPPED else row.message  # the event says it already
    return TimelineRow(row.at, row.state, row.event, message, actor, row.run_id)
