from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import dramatiq
import pytest
from django.utils import timezone

from ops.middleware import KIND_OF_QUEUE, WorkerAlive, kinds_served
from ops.models import Process
from streams import actions, tasks
from streams.hanging import clean_progress, force_stop_hanging
from streams.models import Progress, Status, Stream
from streams.tests import build


def test_limits_and_tries_are_declared_on_the_actors():
    start, stop = tasks.start_stream.options, tasks.stop_stream.options
    assert (start["time_limit"], start["max_retries"]) == (300_000, 2)
    assert (stop["time_limit"], stop["max_retries"]) == (60_000, 2)
    assert start["on_retry_exhausted"] == tasks.start_failed.actor_name


def test_a_start_that_keeps_crashing_is_an_error_that_can_be_started_again(stream, alice):
    run = actions.start(stream, alice)
    tasks.start_failed({"args": [str(run.pk)]}, {"retries": 2, "max_retries": 2})
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "Try again" in stream.failure_reason
    actions.start(stream, alice)


def test_a_start_that_was_delivered_is_not_undone_by_a_late_crash(stream, alice, vps):
    run = build.starting_run(stream, vps)
    tasks.start_failed({"args": [str(run.pk)]}, {})
    stream.refresh_from_db()
    assert stream.state is Status.STARTING


@pytest.mark.django_db(transaction=True)
def test_a_real_worker_does_a_start_to_its_end(monkeypatch):
    monkeypatch.setattr("streams.starting.PAUSES_S", ())
    stream = build.stream(build.user(package=build.package(streams=1)))
    broker = dramatiq.get_broker()
    broker.flush_all()
    actions.start(stream, None)
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    try:
        broker.join("default", timeout=20_000)
        worker.join()
    finally:
        worker.stop()
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "there is no VPS in the fleet" in stream.failure_reason


@pytest.mark.parametrize("state", [Status.STARTING, Status.STOPPING])
def test_what_hangs_between_two_states_is_resolved(stream, vps, state):
    build.starting_run(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status=state)
    assert force_stop_hanging(timedelta(seconds=300)) == 0
    Stream.objects.filter(pk=stream.pk).update(status_since=build.ago(301))
    assert force_stop_hanging(timedelta(seconds=300)) == 1
    stream.refresh_from_db()
    assert stream.state.is_resting


def test_what_is_on_air_does_not_hang(stream, vps):
    build.running(stream, vps)
    later = timezone.now() + timedelta(days=1)
    assert force_stop_hanging(timedelta(seconds=300), later) == 0


def test_old_progress_goes_and_new_stays(stream, vps):
    run = build.starting_run(stream, vps)
    for days in (6, 8):
        Progress.objects.create(
            stream=stream, run=run, stage="preparing", percent=5, message="", at=build.ago(days * 86400)
        )
    assert clean_progress() == 1
    assert Progress.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_worker_says_that_it_is_alive():
    middleware = WorkerAlive()
    middleware.after_worker_boot(None, SimpleNamespace(consumer_whitelist={"default"}))
    middleware.before_worker_shutdown(None, None)
    assert Process.objects.get().kind == "worker"


def test_a_worker_says_which_queues_it_serves():
    assert kinds_served(None) == ["worker", "media", "fleet"]
    assert kinds_served({"default"}) == ["worker"]
    assert kinds_served({"media"}) == ["media"]


def test_every_queue_is_served_by_a_process_that_says_so():
    import_module("media_library.tasks")
    assert {actor.queue_name for actor in dramatiq.get_broker().actors.values()} == set(KIND_OF_QUEUE)
