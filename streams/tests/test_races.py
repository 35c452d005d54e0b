"""Many at once, on PostgreSQL: moves, stops, words, deletes and two hundred starts."""

from __future__ import annotations

import queue
import threading
import time

import pytest
from django.db import connection
from django.db.models import Count, F, Q
from django.utils import timezone

from agent.protocol import StartStream
from fleet import commands, slots
from fleet.models import Vps
from lab.processes import ROOM
from lab.races import at_once
from streams import actions, interrupting, moving, starting, stopping
from streams.converge import move_lost
from streams.errors import Refused
from streams.inbox import Inbox
from streams.models import Run, Status, Stream, Transition
from streams.restart import Cause
from streams.tests import build

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def heard(monkeypatch):
    """Every agent takes every command."""
    sent = queue.Queue()
    monkeypatch.setattr(commands, "publish", lambda vps_id, command: sent.put((vps_id, command)) or 1)
    return sent


@pytest.fixture
def owner():
    return build.user(package=build.package(streams=500))


def a_lost_one(owner, count=6):
    lost = build.vps("lost", max_streams=count)
    runs = [build.running(build.stream(owner, f"stream {n}", files=1, outputs=1), lost) for n in range(count)]
    Vps.objects.filter(pk=lost.pk).update(last_heartbeat_at=build.ago(21))
    return lost, runs


def test_listeners_that_find_a_server_silent_at_once_move_each_run_once(owner):
    _lost, runs = a_lost_one(owner)
    now = timezone.now()
    assert at_once(4, lambda: move_lost(now)) == [None] * 4
    assert set(Run.objects.values_list("epoch", "tries", "vps")) == {(2, 1, None)}
    assert Transition.objects.filter(event="interrupted").count() == len(runs)


def test_who_moves_a_stream_at_once_moves_it_once_and_fills_nothing(owner):
    old, small = build.vps("old"), build.vps("small", max_streams=1)
    runs = [build.running(build.stream(owner, f"stream {n}", files=1, outputs=1), old) for n in range(2)]
    both = iter(runs * 3)
    turn = threading.Lock()

    def move():
        with turn:
            run = next(both)
        moving.move(run, "because", timezone.now())

    outcomes = at_once(6, move)
    assert [type(each) for each in outcomes if each is not None and not isinstance(each, Refused)] == []
    assert outcomes.count(None) == 1
    assert (slots.held(old.pk), slots.held(small.pk)) == (2, 1), "the one that moves counts on both"
    assert sorted(Run.objects.values_list("epoch", flat=True)) == [1, 2]


def test_a_move_and_a_stop_at_once_end_in_one_of_the_two(owner):
    old, _other = build.vps("old"), build.vps("other")
    stream = build.stream(owner, files=1, outputs=1)
    run = build.running(stream, old)
    verbs = iter([lambda: moving.move(run, "because", timezone.now()), lambda: actions.stop(stream, owner)])
    turn = threading.Lock()

    def do():
        with turn:
            verb = next(verbs)
        verb()

    at_once(2, do)
    stream.refresh_from_db()
    assert stream.state is Status.STOPPING
    stopping.take_off_air(run.pk, build.no_sleep)
    Inbox().apply(
        [build.status(Run.objects.get(), "STOPPED", "stopped", epoch=Run.objects.get().epoch)], timezone.now()
    )
    stream.refresh_from_db()
    assert stream.state is Status.INACTIVE
    assert Run.objects.holding().count() == Run.objects.leaving().count() == 0


def test_actors_that_place_a_moved_run_at_once_take_one_slot(owner):
    _lost, runs = a_lost_one(owner, 1)
    others = [build.vps(f"vps-{n}") for n in range(4)]
    move_lost(timezone.now())
    assert at_once(8, lambda: starting.put_on_air(runs[0].pk, build.no_sleep)) == [None] * 8
    run = Run.objects.get()
    assert run.vps in others
    assert (run.epoch, Run.objects.holding().count()) == (2, 1)


def test_a_run_moved_and_stopped_at_once_holds_nothing_in_the_end(owner):
    _lost, runs = a_lost_one(owner)
    build.vps("other", max_streams=50)
    now, left = timezone.now(), list(runs)
    jobs = queue.Queue()
    for run in runs:
        jobs.put(lambda run=run: actions.stop(run.stream, None))
        jobs.put(lambda run=run: starting.put_on_air(run.pk, build.no_sleep))
        jobs.put(lambda run=run: interrupting.interrupt(run, Cause.GAVE_UP, "the playout failed", now))
        jobs.put(lambda run=run: Inbox().apply([build.heartbeat(run.vps, build.report(run, slate="x"))], now))
    outcomes = at_once(len(runs) * 4, lambda: jobs.get_nowait()())
    assert all(each is None or isinstance(each, Refused) for each in outcomes), outcomes
    for run in left:
        stopping.take_off_air(run.pk, build.no_sleep)
    for run in Run.objects.select_related("stream").filter(stream__status=Status.STOPPING):
        Inbox().apply([build.status(run, "STOPPED", "stopped", epoch=run.epoch)], now)
    assert set(Stream.objects.values_list("status", flat=True)) == {Status.INACTIVE}
    assert Run.objects.holding().count() == 0


def test_deleted_while_its_agent_still_talks(owner):
    vps = build.vps("vps", max_streams=50)
    runs = [build.running(build.stream(owner, f"stream {n}", files=1, outputs=1), vps) for n in range(5)]
    for run in runs:
        actions.force_stop(run.stream, None)
    now, jobs = timezone.now(), queue.Queue()
    for run in runs:
        stale = build.report(run)
        jobs.put(lambda run=run: actions.delete(run.stream, None))
        for slate in ("a", None, "b"):
            said = build.heartbeat(vps, build.report(run, slate=slate))
            jobs.put(lambda said=said: Inbox().apply([said], now))
        jobs.put(lambda run=run, stale=stale: Inbox().apply([build.status(run, "STREAMING", run=stale)], now))
    outcomes = at_once(len(runs) * 5, lambda: jobs.get_nowait()())
    assert all(each is None or isinstance(each, Refused) for each in outcomes), outcomes
    assert Stream.objects.count() == 0


def test_two_hundred_starts_at_once_are_on_air_or_refused_within_30_s(owner, heard):
    """A hundred servers with room for 150; eight worker threads, one listener."""
    for number in range(100):
        build.vps(f"vps-{number}", max_streams=1 + number % 2)
    streams = [build.stream(owner, f"stream {n}", files=1, outputs=1) for n in range(200)]
    asked, wanted = queue.Queue(), queue.Queue()
    for stream in streams:
        asked.put(stream)
    began = time.monotonic()
    workers = [threading.Thread(target=_work, args=(wanted,)) for _ in range(8)]
    listener = threading.Thread(target=_listen, args=(heard,))
    for thread in (*workers, listener):
        thread.start()
    outcomes = at_once(20, lambda: [wanted.put(actions.start(asked.get_nowait(), None).pk) for _ in range(10)])
    for _ in workers:
        wanted.put(None)
    for thread in workers:
        thread.join()
    heard.put(None)
    listener.join()
    took = time.monotonic() - began
    assert outcomes == [None] * 20
    assert took < 30 * ROOM
    states = dict(Stream.objects.values_list("status").annotate(Count("pk")).order_by())
    assert states == {Status.STREAMING: 150, Status.ERROR: 50}
    assert Stream.objects.filter(status=Status.ERROR, failure_reason__startswith="No VPS is free").count() == 50
    full = Vps.objects.annotate(held=Count("runs", filter=Q(runs__slot_released_at=None)))
    assert full.exclude(held=F("max_streams")).count() == 0


def _work(wanted):
    while (run_id := wanted.get()) is not None:
        starting.put_on_air(run_id, build.no_sleep)
    connection.close()


def _listen(heard):
    """Agents say that they are on air as soon as they are told."""
    inbox = Inbox()
    while (message := heard.get()) is not None:
        vps_id, command = message
        if isinstance(command, StartStream):
            run = Run.objects.select_related("stream").get(pk=command.config.run_id)
            inbox.apply([build.status(run, "STREAMING", vps_id=vps_id, epoch=run.epoch)], timezone.now())
    connection.close()
