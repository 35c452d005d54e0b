"""Streams over HTTP: the same look-ups, verbs and words as the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from streams import access, actions, snapshot
from streams.actions import Outcome
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
    lag_ms: int
    """How much of the stream waits for the server; 0 below 300 ms."""
    since: datetime | None


class ItemOut(Schema):
    id: int
    title: str
    file_id: int | None
    """None for a live input."""


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


class StreamsOut(Schema):
    items: list[StreamOut]
    count: int


Id = Annotated[int, Field(ge=0, lt=2**63)]


class SteerIn(Schema):
    order: Literal["next", "previous", "jump", "play_next", "pause", "resume"]
    item_id: Id | None = None
    """The item of the playlist, for `jump` and `play_next`."""


class SteerOut(Schema):
    message: str
    answered: bool
    """False: the server took the order and did not say within a second what came of it."""
    item_id: int | None
    """What is on air now; null for the slate, or while there is no answer."""


class PlaylistIn(Schema):
    file_ids: list[Id]


class InsertIn(Schema):
    file_id: Id


class PlayingIn(Schema):
    """What is left out stays as it is."""

    loop: bool | None = None
    order: Literal["sequential", "random"] | None = None


class OutputIn(Schema):
    destination_id: Id
    enabled: bool = True


class SwitchIn(Schema):
    enabled: bool


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
    return {"items": [_out(stream, each) for stream, each in zip(page, shown, strict=True)], "count": count}


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


@router.post("/{int:stream_id}/steer", response=SteerOut)
def steer_stream(request: HttpRequest, stream_id: int, wanted: SteerIn) -> dict[str, Any]:
    """Steers what is on air, and answers within a second by what really happened.

    409 with `code`: `wrong_state` (not on air), `gone` (the item has left the playlist), `unreachable` (the server is
    silent), `not_done` (it says why not). Two orders at once are both carried out, the last one last.
    """
    stream = access.stream_of(request.user, stream_id)
    return _outcome(actions.steer(stream, wanted.order, access.person(request.user), wanted.item_id))


@router.post("/{int:stream_id}/insert", response=SteerOut)
def insert_next(request: HttpRequest, stream_id: int, wanted: InsertIn) -> dict[str, Any]:
    """Puts one of the owner's videos behind what plays now and has it play next."""
    stream = access.stream_of(request.user, stream_id)
    return _outcome(actions.insert_next(stream, wanted.file_id, access.person(request.user)))


@router.post("/{int:stream_id}/playlist", response=StreamOut)
def replace_playlist(request: HttpRequest, stream_id: int, wanted: PlaylistIn) -> dict[str, Any]:
    """Replaces the playlist, on air too; what plays goes on playing while it is in the new one."""
    stream = access.stream_of(request.user, stream_id)
    actions.replace_playlist(stream, wanted.file_ids, access.person(request.user))
    return _fresh(access.stream_of(request.user, stream_id))


@router.patch("/{int:stream_id}", response=StreamOut)
def change_playing(request: HttpRequest, stream_id: int, wanted: PlayingIn) -> dict[str, Any]:
    """Whether the playlist starts over at its end, and in which order it plays."""
    stream = access.stream_of(request.user, stream_id)
    actions.set_playing(stream, access.person(request.user), loop=wanted.loop, order=wanted.order)
    return _fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/outputs", response=StreamOut)
def add_output(request: HttpRequest, stream_id: int, wanted: OutputIn) -> dict[str, Any]:
    """One more of the owner's saved destinations; the others notice nothing."""
    stream = access.stream_of(request.user, stream_id)
    actions.add_output(stream, wanted.destination_id, access.person(request.user), enabled=wanted.enabled)
    return _fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/outputs/{int:output_id}", response=StreamOut)
def switch_output(request: HttpRequest, stream_id: int, output_id: int, wanted: SwitchIn) -> dict[str, Any]:
    """Switches one destination on or off. `output_id` is the `id` of the stream's destination."""
    output = access.output_of(request.user, stream_id, output_id)
    actions.set_output_enabled(output, wanted.enabled, access.person(request.user))
    return _fresh(access.stream_of(request.user, stream_id))


@router.delete("/{int:stream_id}/outputs/{int:output_id}", response=StreamOut)
def remove_output(request: HttpRequest, stream_id: int, output_id: int) -> dict[str, Any]:
    """Takes a destination out of the stream; it stays saved."""
    stream = access.stream_of(request.user, stream_id)
    actions.remove_output(stream, output_id, access.person(request.user))
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


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {"message": outcome.words, "answered": outcome.answered, "item_id": outcome.item_id}


def _fresh(stream: Stream) -> dict[str, Any]:
    return _out(stream, snapshot.snapshots_for([stream], timezone.now())[0])


def _out(stream: Stream, shown: snapshot.Snapshot) -> dict[str, Any]:
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
        "lag_ms": view.lag_ms,
        "since": view.since,
    }
