"""Everything at once, on PostgreSQL: whoever presses what while schedulers, agents and listeners work, nobody meets an
error of the database, and in the end everything adds up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import time, timedelta

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q, Sum
from django.http import Http404
from django.utils import timezone

from accounts.models import User
from fleet import commands
from fleet.models import Vps
from lab.races import at_once
from media_library import actions as library
from media_library.errors import Refused as FileRefused
from media_library.models import FileStatus, Upload, VideoFile
from streams import actions, hanging, scheduling, starting, stopping
from streams.converge import move_lost
from streams.errors import Refused
from streams.inbox import Inbox
from streams.models import Run, Schedule, Status, Stream
from streams.schedule import daily
from streams.schedule_spec import ScheduleSpec
from streams.spec import DestinationSpec, videos
from streams.tests import build

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
THREADS, TURNS = 12, 25
ANSWERS = (Refused, FileRefused, ObjectDoesNotExist, Http404)
"""What may come of a verb on what somebody else has just changed or deleted."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, settings, tmp_path):
    """Every agent takes every command; uploads land in a folder of the test's own."""
    monkeypatch.setattr(commands, "publish", lambda vps_id, command: 1)
    settings.UPLOAD_DIR, settings.MEDIA_ROOT = tmp_path / "uploads", tmp_path / "media"


class Somebody:
    """A person, a worker, an agent and a scheduler in one: each turn is one of their doings, by chance."""

    def __init__(self, owner: User, seed: int) -> None:
        self.owner = owner
        self.dice = random.Random(seed)
        self.inbox = Inbox()

    def turns(self) -> Iterator[Callable[[], object]]:
        doings = [getattr(self, name) for name in sorted(vars(Somebody)) if name.startswith("do_")]
        return (self.dice.choice(doings) for _ in range(TURNS))

    def one(self, rows):
        return self.dice.choice(list(rows) or [None]) or _gone()

    def stream(self) -> Stream:
        return self.one(Stream.objects.order_by("pk"))

    def run(self) -> Run:
        return self.one(Run.objects.select_related("stream", "vps").filter(ended_at=None).order_by("pk"))

    def file(self) -> VideoFile:
        return self.one(VideoFile.objects.filter(status=FileStatus.COMPLETED).order_by("pk"))

    # people

    def do_start(self):
        actions.start(self.stream(), self.owner)

    def do_stop(self):
        actions.stop(self.stream(), self.owner)

    def do_force_stop(self):
        actions.force_stop(self.stream(), self.owner)

    def do_edit(self):
        stream = self.stream()
        chosen = [self.file().pk for _ in range(self.dice.randint(1, 3))]
        actions.edit(stream, replace(actions.spec_of(stream), items=videos(chosen)), self.owner)

    def do_replace_playlist(self):
        actions.replace_playlist(self.stream(), [self.file().pk, self.file().pk], self.owner)

    def do_move_item(self):
        stream = self.stream()
        actions.move_item(stream, self.one(stream.items.all()).pk, self.owner, to=0)

    def do_remove_item(self):
        stream = self.stream()
        actions.remove_item(stream, self.one(stream.items.all()).pk, self.owner)

    def do_switch_output(self):
        output = self.one(self.stream().outputs.select_related("stream", "destination"))
        actions.set_output_enabled(output, self.dice.random() < 0.7, self.owner)

    def do_change_destination(self):
        destination = self.one(self.owner.destinations.filter(deleted_at=None))
        spec = DestinationSpec(platform="custom", name=destination.name, url=destination.url, key="")
        actions.save_destination(self.owner, spec, self.owner, destination)

    def do_schedule(self):
        opens = (timezone.now() - timedelta(minutes=self.dice.randint(1, 90))).time().replace(second=0, microsecond=0)
        actions.set_schedule(self.stream(), ScheduleSpec("UTC", (daily(opens, time(opens.hour, 59)),)), self.owner)

    def do_switch_schedule(self):
        actions.switch_schedule(self.stream(), self.dice.random() < 0.7, self.owner)

    def do_duplicate(self):
        if Stream.objects.count() < 12:
            actions.duplicate(self.stream(), self.owner)

    def do_delete(self):
        actions.delete(self.stream(), self.owner)

    def do_delete_file(self):
        library.delete(self.file(), self.owner)

    def do_upload(self):
        library.create_upload(self.owner, "more.mp4", 1000, timezone.now())

    def do_cancel_upload(self):
        upload = self.one(Upload.objects.select_related("owner").order_by("pk"))
        library.cancel_upload(upload, self.owner)

    # workers, schedulers, agents

    def do_put_on_air(self):
        starting.put_on_air(self.run().pk, build.no_sleep)

    def do_take_off_air(self):
        stopping.take_off_air(self.run().pk, build.no_sleep)

    def do_look_at_the_clock(self):
        scheduling.check(timezone.now() + timedelta(minutes=self.dice.choice([0, 0, 90])))

    def do_resolve(self):
        hanging.force_stop_hanging(timedelta(seconds=self.dice.choice([0, 60, 60, 60])))

    def do_lose_a_server(self):
        Vps.objects.filter(pk=self.one(Vps.objects.all()).pk).update(last_heartbeat_at=build.ago(21))
        move_lost(timezone.now())

    def do_hear(self):
        run = self.run()
        slate = self.dice.choice([None, "nothing to play"])
        if run.vps is not None:
            self.inbox.apply([build.heartbeat(run.vps, build.report(run, slate=slate))], timezone.now())

    def do_hear_the_end(self):
        run = self.run()
        word = self.dice.choice(["STOPPED", "ERROR"])
        if run.vps is not None:
            self.inbox.apply([build.status(run, word, "finished", epoch=run.epoch)], timezone.now())


def _gone():
    raise Http404("nothing there")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_everything_at_once_and_it_adds_up(seed):
    owner = build.user(package=build.package(streams=5))
    for number in range(3):
        build.vps(f"vps-{number}", max_streams=2)
    for number in range(6):
        build.stream(owner, f"stream {number}")
    stored = sum(VideoFile.objects.values_list("size", flat=True))
    User.objects.filter(pk=owner.pk).update(storage_used=stored)
    people = [Somebody(owner, seed * 100 + number) for number in range(THREADS)]
    failed: list[str] = []
    done: set[str] = set()

    def live() -> None:
        who = people.pop()
        for turn in who.turns():
            try:
                turn()
                done.add(turn.__name__)
            except ANSWERS:
                pass
            except Exception as error:
                failed.append(f"{turn.__name__}: {type(error).__name__}: {error}")

    assert at_once(THREADS, live) == [None] * THREADS
    assert failed == []
    assert len(done) > 15, "most doings were refused every time: this shows nothing"
    _check(owner)


def _check(owner: User) -> None:
    holding = Run.objects.holding()
    assert not holding.filter(
        Q(ended_at__isnull=False) | Q(stream__status__in=[Status.INACTIVE, Status.ERROR])
    ).exists()
    for vps in Vps.objects.with_current_streams():
        assert vps.current_streams <= vps.max_streams
    assert Stream.objects.on_air().count() <= 5
    assert not Schedule.objects.exclude(stream__in=Stream.objects.all()).exists()
    owner.refresh_from_db()
    stored = VideoFile.objects.filter(status=FileStatus.COMPLETED).aggregate(sum=Sum("size"))["sum"] or 0
    reserved = Upload.objects.filter(file__status=FileStatus.UPLOADING).aggregate(sum=Sum("length"))["sum"] or 0
    assert (owner.storage_used, owner.storage_reserved) == (stored, reserved)
