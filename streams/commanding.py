"""What agents are told about streams: configurations built from rows, and the commands that carry them."""

from __future__ import annotations

import uuid
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

import media_library.models
from agent.protocol import (
    RETRY,
    PushUrl,
    StartStream,
    SteerStream,
    StopStream,
    StreamConfig,
    UpdateStream,
    VideoFile,
)
from fleet import commands
from kit.actors import after_commit
from kit.conflicts import again_on_conflict
from media_library.actions import download_url
from streams import lifecycle, pictures, platforms, slates
from streams.errors import WrongState
from streams.models import Order, PlaylistItem, Run, Status, Stream, StreamDestination

log = structlog.get_logger(__name__)


def config_of(run: Run) -> StreamConfig:
    """All an agent needs, keys and signed URLs included: for the wire, never for a log."""
    stream = run.stream
    return StreamConfig(
        id=stream.pk,
        run_id=str(run.pk),
        epoch=run.epoch,
        video_files=tuple(_item(item) for item in _items(run)),
        push_urls=tuple(_push_url(output) for output in _outputs(stream)),
        loop=stream.loop,
        order=stream.order,
        keep_files_after_stop=stream.keep_files_after_stop,
        picture_url=pictures.upload_url(run),
        slate=slates.slate_file(stream),
        restart_every_s=stream.restart_every_h * 3600.0 if stream.restart_every_h else None,
        begin_item_id=run.first_item_id,
        begin_at_s=run.first_position_s,
        request_id=_request_id(),
    )


def _items(run: Run) -> list[PlaylistItem]:
    """In their order, but beginning with the item the run is to begin with. What lies before that has been played: it
    comes again behind the others if the list starts over, and not at all if it does not."""
    items = list(run.stream.items.select_related("file", "live").order_by("position"))
    places = [place for place, item in enumerate(items) if item.pk == run.first_item_id]
    if not places or run.stream.order == Order.RANDOM:
        return items
    return items[places[0] :] + (items[: places[0]] if run.stream.loop else [])


def _outputs(stream: Stream) -> list[StreamDestination]:
    rows = stream.outputs.filter(destination__deleted_at__isnull=True)
    return list(rows.select_related("destination").order_by("id"))


def _item(item: PlaylistItem) -> VideoFile:
    if item.file is not None:
        return _video_file(item.pk, item.file)
    url = item.live.url() if item.live else ""
    return VideoFile(
        item_id=item.pk, file_id=-item.pk, filename="", download_url="", size=0, title=item.title, live_url=url
    )


def _video_file(item_id: int, file: media_library.models.VideoFile) -> VideoFile:
    return VideoFile(
        item_id=item_id,
        file_id=file.pk,
        filename=file.stored_name,
        download_url=download_url(file),
        size=file.size,
        disk=file.disk,
        title=file.title,
        sha256=file.sha256 or None,
        duration_s=file.duration_s,
        video_codec=file.video_codec or None,
        pixel_format=file.pixel_format or None,
        audio_codec=file.audio_codec or None,
    )


def _push_url(output: StreamDestination) -> PushUrl:
    destination = output.destination
    return PushUrl(
        id=output.pk,
        name=destination.name,
        url=destination.url,
        key=destination.key(),
        enabled=output.enabled,
        via=destination.via,
        renew_every_s=platforms.renew_every_s(destination),
    )


def _request_id() -> str:
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


# ------------------------------------------------------------------------------------------------ commands


@again_on_conflict
def send_start(run: Run, now: datetime) -> int:
    """START_STREAM to the run's VPS. What was commanded is written first, so that a heartbeat finds it so.

    Raises `WrongState` when the run has moved or is not wanted any more since it was read.
    """
    with transaction.atomic():
        # Read again under the lock: an edit that was committed since must be in the command.
        lifecycle.lock(run.stream_id)
        _require_there(run)
        config = config_of(run)
        Run.objects.filter(pk=run.pk).update(commanded_at=now, retry_at=None, fingerprint=config.fingerprint)
    return commands.publish(_vps_id(run), StartStream(config=config, timestamp=now.timestamp()))


def send_update(run: Run, now: datetime) -> int:
    config = config_of(run)
    return commands.publish(_vps_id(run), UpdateStream(config=config, timestamp=now.timestamp()))


def send_stop(vps_id: int, stream_id: int, run_id: str, epoch: int, now: datetime) -> int:
    """The run under this epoch or an older one. Under a newer one it has come back there since, and goes on."""
    stop = StopStream(
        stream_id=stream_id, run_id=run_id, epoch=epoch, timestamp=now.timestamp(), request_id=_request_id()
    )
    return commands.publish(vps_id, stop)


def send_retry(run: Run, now: datetime) -> int:
    """What held the keys of its destinations is gone. The answer is nobody's: the next report tells."""
    retry = SteerStream(
        stream_id=run.stream_id,
        run_id=str(run.pk),
        order_id=str(uuid.uuid4()),
        order=RETRY,
        timestamp=now.timestamp(),
        request_id=_request_id(),
    )
    return commands.publish(_vps_id(run), retry)


def _require_there(run: Run) -> None:
    """Puts its stream as it is now in place of the one it was read with."""
    stream = Stream.objects.filter(pk=run.stream_id).first()
    if stream is None:
        raise WrongState("the stream is not there any more")
    run.stream = stream
    is_wanted = run.stream.run_id == run.pk and run.stream.state in (Status.STARTING, Status.STREAMING)
    there = Run.objects.filter(pk=run.pk, vps_id=_vps_id(run), epoch=run.epoch)
    if not (is_wanted and there.exists()):
        raise WrongState("the run is not there any more")


def update_after_commit(stream: Stream) -> None:
    """The stream changed while on air: its agent is told, once there is one that knows the run.

    The fingerprint is in the transaction, so a lost command is sent again when a heartbeat carries the old one.
    The lock makes a start in flight either read the change or be followed by it.
    """
    lifecycle.lock(stream.pk)
    run = Run.objects.select_related("stream").get(pk=stream.run_id) if stream.run_id else None
    if run is None or run.commanded_at is None:
        return
    Run.objects.filter(pk=run.pk).update(fingerprint=config_of(run).fingerprint)
    run_id = run.pk
    after_commit(lambda: _update_now(run_id), robust=True)


def _update_now(run_id: uuid.UUID) -> None:
    run = Run.objects.select_related("stream").get(pk=run_id)
    if not send_update(run, timezone.now()):
        log.warning("stream.update_undelivered", stream=run.stream_id, run=str(run_id))


def _vps_id(run: Run) -> int:
    if run.vps_id is None:
        raise ValueError("a run without a VPS cannot be commanded")
    return run.vps_id
