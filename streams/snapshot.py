"""What a page shows of a stream: one value, computed from loaded rows. Pages, socket and API render from it.

`load` and `snapshots_for` do the queries (a fixed number, however many streams); `snapshot` does none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Prefetch, prefetch_related_objects
from django.utils.translation import gettext as _

from streams import afterwards, airing, timeline
from streams.afterwards import ResumeView, RetryView
from streams.airing import DestinationView, InputView, NowPlaying
from streams.models import (
    DestinationState,
    PlaylistItem,
    Progress,
    Run,
    Status,
    Stream,
    StreamDestination,
)
from streams.reports import WRITE_EVERY, since_s
from streams.timeline import TimelineRow


@dataclass(frozen=True, slots=True)
class ProgressView:
    percent: int
    stage: str
    message: str
    at: datetime


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
    slate: str | None
    """Why the slate is on air, in words; None while it is not."""
    paused: bool
    input: InputView | None
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
    can_steer: bool
    items_count: int
    skipped: tuple[str, ...]
    """Items the agent could not play, with the reason, in words."""
    restarts: int
    restart_by: datetime | None
    """All of it begins anew as planned by then."""
    retry: RetryView | None
    """While it waits for its next try."""
    resume: ResumeView | None
    """Where it goes on if it is started again after a failure; None: at the beginning."""
    advice: str
    """What to do about the failure."""
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
    return snapshot(stream, now, timeline.of_stream(stream))


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


def snapshot(stream: Stream, now: datetime, rows: tuple[TimelineRow, ...] = ()) -> Snapshot:
    """Pure over rows that `attach` loaded."""
    state, run, report = stream.state, stream.run, _live_report(stream)
    items = list(stream.items.all())
    stale = is_stale(stream, now)
    destinations = tuple(airing.destination(output, state, report) for output in stream.outputs.all())
    return Snapshot(
        id=stream.pk,
        title=stream.title,
        state=state,
        since=stream.status_since,
        headline=_headline(stream, destinations, stale, now),
        failure_reason=stream.failure_reason,
        progress=_progress(stream),
        now_playing=airing.now_playing(items, report, _said_ago_s(run, stale, now)),
        slate=airing.slate(report),
        paused=bool(report.get("paused")),
        input=airing.live_input(items, report),
        next_titles=airing.next_titles(items, report),
        uptime_s=_uptime(stream, now),
        bitrate_kbps=report.get("bitrate_kbps"),
        destinations=destinations,
        vps=run.vps.name if run and run.vps and not state.is_resting else "",
        is_stale=stale,
        can_start=state.is_resting,
        can_stop=state in (Status.STARTING, Status.STREAMING)
        or (state is Status.ERROR and is_held_after_end(run, now)),
        can_delete=state.is_resting,
        can_steer=state is Status.STREAMING and not stale,
        items_count=len(items),
        skipped=airing.skipped(items, report),
        restarts=report.get("restarts", 0),
        restart_by=airing.moment(report.get("restart_by")),
        retry=afterwards.retry(stream, now),
        resume=afterwards.resume_at(stream, items),
        advice=afterwards.advice(stream),
        run_id=stream.run_id,
        timeline=rows,
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
    if run.reported_at is None or not run.vps.is_reachable(now):
        return True
    return now - run.reported_at > settings.HEARTBEAT_FRESH + WRITE_EVERY


def _said_ago_s(run: Run | None, stale: bool, now: datetime) -> float:
    """0 where nobody knows whether it went on."""
    return 0.0 if stale or run is None else since_s(run.reported_at, now)


def is_held_after_end(run: Run | None, now: datetime) -> bool:
    """The run has ended for us, but its agent reported it since, and lately."""
    if run is None or run.ended_at is None or run.reported_at is None:
        return False
    return run.reported_at > run.ended_at and now - run.reported_at <= settings.HEARTBEAT_FRESH


def _live_report(stream: Stream) -> dict[str, Any]:
    """The agent's word, while it is about now."""
    run = stream.run
    if stream.state.is_resting or run is None or run.report is None:
        return {}
    return run.report if run.report.get("epoch", run.epoch) == run.epoch else {}


def _headline(stream: Stream, destinations: tuple[DestinationView, ...], stale: bool, now: datetime) -> str:
    state = stream.state
    if state is Status.STARTING and stream.run is not None and stream.run.interruption:
        return afterwards.headline(stream, stream.run, now)
    if state is Status.STREAMING and not stale and _live_report(stream).get("phase") == "backing_off":
        return _("Interrupted: the player ended by itself and is started again")
    if state is Status.STREAMING:
        return _on_air_headline(destinations, stale, _live_report(stream))
    return {
        Status.INACTIVE: _("Off air"),
        Status.STARTING: _("Starting; its VPS is silent") if stale else _("Starting"),
        Status.STOPPING: _("Stopping"),
        Status.ERROR: stream.failure_reason or _("Failed"),
    }[state]


def _on_air_headline(destinations: tuple[DestinationView, ...], stale: bool, report: airing.Report) -> str:
    if stale:
        return _("On air when last heard of; its VPS is silent")
    if report.get("paused"):
        return _("Paused: the slate is on air")
    if airing.slate(report) is not None:
        return _("On air with the slate")
    enabled = [view for view in destinations if view.enabled]
    live = sum(view.state in (DestinationState.LIVE, DestinationState.RENEWING) for view in enabled)
    if live == len(enabled):
        return _("On air")
    return _("On air at %(live)d of %(all)d destinations") % {"live": live, "all": len(enabled)}


def _progress(stream: Stream) -> ProgressView | None:
    if stream.state is not Status.STARTING:
        return None
    row: Progress | None = getattr(stream, "latest_progress", None)
    if stream.run is not None and stream.run.is_leaving:
        return ProgressView(0, "queued", _("waiting for the old server to let go"), stream.status_since)
    if row is None or row.at < stream.status_since:
        return ProgressView(0, "queued", _("in the queue, waiting for a worker"), stream.status_since)
    return ProgressView(row.percent, row.stage, row.message, row.at)


def _uptime(stream: Stream, now: datetime) -> float | None:
    """None also while it was interrupted and is not back yet."""
    run = stream.run
    if stream.state.is_resting or stream.state is Status.STARTING or run is None or run.on_air_at is None:
        return None
    return run.duration(now).total_seconds()
