"""Rows for tests, and an agent that only listens."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import redis
from django.conf import settings
from django.utils import timezone

from accounts.models import Package, User
from agent.protocol import (
    Command,
    DestinationState,
    Heartbeat,
    Load,
    RunReport,
    StreamStatus,
    commands_channel,
    decode_command,
)
from fleet.models import Vps, VpsStatus
from media_library.models import FileStatus, VideoFile
from streams import actions, lifecycle, starting
from streams.lifecycle import Event
from streams.models import Destination, LiveInput, Platform, PlaylistItem, Run, Stream, StreamDestination
from streams.spec import OutputSpec, StreamSpec, videos


def user(name: str = "alice", **fields) -> User:
    row = User(email=f"{name}@example.org", name=name.title(), **fields)
    row.set_unusable_password()
    row.save()
    return row


def package(streams: int, name: str = "small") -> Package:
    return Package.objects.create(name=name, max_storage=10**9, max_concurrent_streams=streams)


def vps(name: str = "vps-1", **fields) -> Vps:
    fields = {"status": VpsStatus.ACTIVE, "cpu": 10, "memory": 20, "last_heartbeat_at": timezone.now()} | fields
    return Vps.objects.create(name=name, host="127.0.0.1", **fields)


def file(owner: User, title: str = "clip", **fields) -> VideoFile:
    fields = {"status": FileStatus.COMPLETED, "size": 1000, "duration_s": 5.0} | fields
    return VideoFile.objects.create(
        owner=owner, title=title, original_name=f"{title}.mp4", stored_name=f"{uuid.uuid4()}.mp4", **fields
    )


def destination(owner: User, name: str = "YouTube", key: str | None = None, **fields) -> Destination:
    fields = {"platform": Platform.CUSTOM, "url": "rtmp://127.0.0.1/live"} | fields
    row = Destination(owner=owner, name=name, **fields)
    row.set_key(key or uuid.uuid4().hex)
    row.save()
    return row


def live_input(owner: User, name: str = "Studio", url: str = "rtmp://studio.example.org/live/k3y") -> LiveInput:
    row = LiveInput(owner=owner, name=name)
    row.set_url(url)
    row.save()
    return row


def stream(owner: User, title: str = "Channel", files: int = 2, outputs: int = 2, **fields) -> Stream:
    row = Stream.objects.create(owner=owner, title=title, **fields)
    for position in range(files):
        PlaylistItem.objects.create(stream=row, file=file(owner, f"clip {position}"), position=position)
    for number in range(outputs):
        StreamDestination.objects.create(stream=row, destination=destination(owner, f"place {number}"))
    return row


def spec(owner: User, **fields) -> StreamSpec:
    whole = StreamSpec(title="Channel", items=videos([file(owner).pk]), outputs=(OutputSpec(destination(owner).pk),))
    return replace(whole, **fields)


def starting_run(row: Stream, on: Vps | None = None) -> Run:
    """The stream STARTING, on a VPS when one is named, with nothing sent to anybody."""
    run = Run.objects.create(stream=row)
    lifecycle.fire(row.pk, Event.START, run_id=run.pk)
    if on is not None:
        Run.objects.filter(pk=run.pk).update(vps=on, commanded_at=timezone.now())
    return Run.objects.select_related("stream", "vps").get(pk=run.pk)


def running(row: Stream, on: Vps) -> Run:
    """The stream STREAMING on a VPS."""
    run = starting_run(row, on)
    lifecycle.fire(row.pk, Event.LIVE, run_id=run.pk)
    now = timezone.now()
    Run.objects.filter(pk=run.pk).update(on_air_at=now, reported_at=now)
    return Run.objects.select_related("stream", "vps").get(pk=run.pk)


def no_sleep(_seconds: float) -> None:
    """For the pauses between tries."""


def start_fully(row: Stream, actor: User | None = None) -> Run:
    """The verb and its actor, in one."""
    run = actions.start(row, actor)
    starting.put_on_air(run.pk, no_sleep)
    return Run.objects.select_related("stream", "vps").get(pk=run.pk)


class Ear:
    """An agent's subscription: what it was told."""

    def __init__(self, vps_id: int) -> None:
        self.vps_id = vps_id
        self._client = redis.Redis.from_url(settings.AGENT_REDIS_URL)
        self._pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(commands_channel(vps_id))
        self._pubsub.get_message(timeout=2)

    def heard(self) -> list[Command]:
        found = []
        while (raw := self._pubsub.get_message(timeout=0.05)) is not None:
            found.append(decode_command(raw["data"]))
        return found

    def close(self) -> None:
        self._pubsub.close()
        self._client.close()


def report(run: Run, **fields) -> RunReport:
    whole = RunReport(
        stream_id=run.stream_id,
        run_id=str(run.pk),
        epoch=run.epoch,
        phase="on_air",
        fingerprint=run.fingerprint,
        destinations=tuple(
            DestinationState(id=output.pk, state="live", since=1_700_000_000.0, bitrate_kbps=3000.0)
            for output in run.stream.outputs.all()
        ),
    )
    return replace(whole, **fields)


def heartbeat(on: Vps, *reports: RunReport, **fields) -> Heartbeat:
    load = Load(cpu=12.0, memory=34.0, disk=56.0, network_mbit=7.0)
    whole = Heartbeat(vps_id=on.pk, timestamp=1.0, agent_version="1.2.3", load=load, runs=reports)
    return replace(whole, **fields)


def status(run: Run, word: str, message: str = "", /, **fields) -> StreamStatus:
    whole = StreamStatus(
        stream_id=run.stream_id,
        status=word,
        message=message,
        vps_id=run.vps_id or 0,
        timestamp=1.0,
        run_id=str(run.pk),
    )
    return replace(whole, **fields)


def ago(seconds: float):
    return timezone.now() - timedelta(seconds=seconds)
