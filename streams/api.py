"""Streams over HTTP: the same look-ups, verbs and words as the pages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema

from streams import access, actions, api_shown, snapshot
from streams.actions import Outcome
from streams.api_shown import StreamOut
from streams.models import Progress

router = Router(tags=["streams"])
PAGE: int = 100


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
    return {"items": [api_shown.out(stream, each) for stream, each in zip(page, shown, strict=True)], "count": count}


@router.get("/{int:stream_id}", response=StreamOut)
def get_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/start", response=StreamOut)
def start_stream(request: HttpRequest, stream_id: int, from_beginning: bool = False) -> dict[str, Any]:
    """After a failure it goes on at `resume`, unless it is to start `from_beginning`."""
    stream = access.stream_of(request.user, stream_id)
    actions.start(stream, access.person(request.user), from_beginning=from_beginning)
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/stop", response=StreamOut)
def stop_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    stream = access.stream_of(request.user, stream_id)
    actions.stop(stream, access.person(request.user))
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/retry", response=StreamOut)
def retry_stream(request: HttpRequest, stream_id: int) -> dict[str, Any]:
    """The next try of a stream that was interrupted, at once. 409 `wrong_state`: it waits for none."""
    stream = access.stream_of(request.user, stream_id)
    actions.try_now(stream, access.person(request.user))
    return api_shown.fresh(access.stream_of(request.user, stream_id))


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
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.patch("/{int:stream_id}", response=StreamOut)
def change_playing(request: HttpRequest, stream_id: int, wanted: PlayingIn) -> dict[str, Any]:
    """Whether the playlist starts over at its end, and in which order it plays."""
    stream = access.stream_of(request.user, stream_id)
    actions.set_playing(stream, access.person(request.user), loop=wanted.loop, order=wanted.order)
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/outputs", response=StreamOut)
def add_output(request: HttpRequest, stream_id: int, wanted: OutputIn) -> dict[str, Any]:
    """One more of the owner's saved destinations; the others notice nothing."""
    stream = access.stream_of(request.user, stream_id)
    actions.add_output(stream, wanted.destination_id, access.person(request.user), enabled=wanted.enabled)
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/outputs/{int:output_id}", response=StreamOut)
def switch_output(request: HttpRequest, stream_id: int, output_id: int, wanted: SwitchIn) -> dict[str, Any]:
    """Switches one destination on or off. `output_id` is the `id` of the stream's destination."""
    output = access.output_of(request.user, stream_id, output_id)
    actions.set_output_enabled(output, wanted.enabled, access.person(request.user))
    return api_shown.fresh(access.stream_of(request.user, stream_id))


@router.post("/{int:stream_id}/outputs/{int:output_id}/renew", response=SteerOut)
def renew_output(request: HttpRequest, stream_id: int, output_id: int) -> dict[str, Any]:
    """Closes the connection properly and makes it anew; one that waits for its next try is tried at once."""
    output = access.output_of(request.user, stream_id, output_id)
    return _outcome(actions.renew(output, access.person(request.user)))


@router.delete("/{int:stream_id}/outputs/{int:output_id}", response=StreamOut)
def remove_output(request: HttpRequest, stream_id: int, output_id: int) -> dict[str, Any]:
    """Takes a destination out of the stream; it stays saved."""
    stream = access.stream_of(request.user, stream_id)
    actions.remove_output(stream, output_id, access.person(request.user))
    return api_shown.fresh(access.stream_of(request.user, stream_id))


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
