"""A stream as the API shows it: the same values as the pages."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils import timezone
from ninja import Schema

from streams import snapshot
from streams.airing import DestinationView
from streams.models import Stream


class DestinationOut(Schema):
    id: int
    name: str
    platform: str
    state: str
    enabled: bool
    reason: str
    bitrate_kbps: float
    reconnects: int
    lag_ms: int
    """How much of the stream waits for the server; 0 below 300 ms."""
    since: datetime | None
    renewed_at: datetime | None
    """When it was last closed properly and connected anew."""
    renewed_off_s: float | None
    """How long nothing went there then."""
    renew_from: datetime | None
    renew_by: datetime | None


class ItemOut(Schema):
    id: int
    title: str
    file_id: int | None
    """None for a live input."""


class ResumeOut(Schema):
    """Where it goes on after a failure."""

    item_id: int
    title: str
    position_s: float


class RetryOut(Schema):
    """The next try after an interruption."""

    number: int
    most: int
    at: datetime


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
    now_playing_item: int | None
    position_s: float | None
    next: list[str]
    slate: str | None
    """Why the slate is on air; null while an item is."""
    paused: bool
    loop: bool
    order: str
    items: list[ItemOut]
    destinations: list[DestinationOut]
    retry: RetryOut | None
    """Set while it waits for its next try: `POST …/retry` does that at once."""
    resume: ResumeOut | None
    """Set after a failure: where `POST …/start` goes on."""


def fresh(stream: Stream) -> dict[str, Any]:
    return out(stream, snapshot.snapshots_for([stream], timezone.now())[0])


def out(stream: Stream, shown: snapshot.Snapshot) -> dict[str, Any]:
    now = shown.now_playing
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
        "now_playing": now.title if now else None,
        "now_playing_item": now.item_id if now else None,
        "position_s": now.position_s if now else None,
        "next": list(shown.next_titles),
        "slate": shown.slate,
        "paused": shown.paused,
        "loop": stream.loop,
        "order": stream.order,
        "items": [{"id": item.pk, "title": item.title, "file_id": item.file_id} for item in stream.items.all()],
        "destinations": [_destination(view) for view in shown.destinations],
        "retry": shown.retry and {name: getattr(shown.retry, name) for name in ("number", "most", "at")},
        "resume": shown.resume and asdict(shown.resume),
    }


def _destination(view: DestinationView) -> dict[str, Any]:
    renewal = view.renewal
    return {
        "id": view.output_id,
        "name": view.name,
        "platform": view.platform.value,
        "state": view.state.value,
        "enabled": view.enabled,
        "reason": view.reason,
        "bitrate_kbps": view.bitrate_kbps,
        "reconnects": view.reconnects,
        "lag_ms": view.lag_ms,
        "since": view.since,
        "renewed_at": renewal and renewal.at,
        "renewed_off_s": renewal.off_s if renewal and renewal.at else None,
        "renew_from": renewal and renewal.next_from,
        "renew_by": renewal and renewal.next_by,
    }
