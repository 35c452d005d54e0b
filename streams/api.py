"""Streams over HTTP: the same look-ups, verbs and words as the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from streams import access, actions, snapshot
from streams.airing import DestinationView
from streams.models import Progress, Stream

router = Router(tags=["streams"])
PAGE: int = 100


class DestinationOut(Schema):
    id: int
    name: str
    platform: str
    state: str
    enabled: bool
    reason: str
    bitrate_kbps: float
    reconnects: int


class StreamOut(Schema):
    id: int
    title: str
    status: str
    since: datetime
    headline: str
    failure_reason: str
    run_id: str | None
    vps: str
    uptime_s: float | None
    bitrate_kbps: float | None
    is_stale: bool
    now_playing: str | None
    destinations: list[DestinationOut]


class StreamsOut(Schema):
    items: list[StreamOut]
    count: int


class ProgressOut(Schema):
    stage: str | None
    progress: int
    message: str
    status: str
    at: datetime | None


@router.get("/", response=StreamsOut)
def list_streams(request: HttpRequest, offset: int = 0, limit: int = PAGE) -> dict[str, Any]:
    rows = access.streams_seen_by(request.user)
    count = rows.count()
    start = min(max(0, offset), count)
    page = list(rows[start : start + min(max(1, limit), PAGE)])
    shown = snapshot.snapshots_for(page, timezone.now())
    return {"items": [_out(each) for each in shown], "count": count}


@router.get("/{int:stream_id}", response=StreamOut)
def get_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    return _fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/start", response=StreamOut)
def start_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    stream = access.stream_of(request.user, stream_id)
    actions.start(stream, access.person(request.user))
    return _fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/stop", response=StreamOut)
def stop_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    stream = access.stream_of(request.user, stream_id)
    actions.stop(stream, access.person(request.user))
    return _fresh(access.stream_of(request.user, stream_id))


@router.get("/{int:stream_id}/progress", response=ProgressOut)
def get_progress(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    """The newest step of the current run's start (STR-7)."""
    stream = access.stream_of(request.user, stream_id)
    row = Progress.objects.filter(run_id=stream.run_id).first() if stream.run_id else None
    return {
        "stage": row.stage if row else None,
        "progress": row.percent if row else 0,
        "message": row.message if row else "",
        "status": stream.status,
        "at": row.at if row else None,
    }


def _fresh(stream: Stream) -> dict[str, Any]:
    return _out(snapshot.snapshots_for([stream], timezone.now())[0])


def _out(shown: snapshot.Snapshot) -> dict[str, Any]:
    return {
        "id": shown.id,
        "title": shown.title,
        "status": shown.state.value,
        "since": shown.since,
        "headline": shown.headline,
        "failure_reason": shown.failure_reason,
        "run_id": str(shown.run_id) if shown.run_id else None,
        "vps": shown.vps,
        "uptime_s": shown.uptime_s,
        "bitrate_kbps": shown.bitrate_kbps,
        "is_stale": shown.is_stale,
        "now_playing": shown.now_playing.title if shown.now_playing else None,
        "destinations": [_destination(view) for view in shown.destinations],
    }


def _destination(view: DestinationView) -> dict[str, Any]:
    return {
        "id": view.output_id,
        "name": view.name,
        "platform": view.platform.value,
        "state": view.state.value,
        "enabled": view.enabled,
        "reason": view.reason,
        "bitrate_kbps": view.bitrate_kbps,
        "reconnects": view.reconnects,
    }
