"""Start, stop, force stop."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.locks import lock_user
from accounts.models import User
from fleet import selection
from fleet.candidates import candidates
from fleet.models import Vps
from kit.actors import send_after_commit
from kit.conflicts import again_on_conflict
from streams import interrupting, lifecycle, moving, progress, rules, snapshot, tasks
from streams.errors import NotReady, WrongState
from streams.lifecycle import Event
from streams.models import Run, Status, Stream


@again_on_conflict
@transaction.atomic
def start(stream: Stream, actor: User | None, message: str = "", *, from_beginning: bool = False) -> Run:
    """Wants the stream on air: STARTING, a run of its own, and the actor that finds it a VPS (STR-4). After a failure
    it goes on where it was, unless it is to play `from_beginning`. `message` says why, where it was nobody's click."""
    return _start(stream, actor, message, from_beginning=from_beginning)


@again_on_conflict
@transaction.atomic
def start_on(stream: Stream, vps: Vps, actor: User | None) -> Run:
    """The same, on this VPS and no other: an operator tests it (OPS-1)."""
    return _start(stream, actor, "", on=vps)


def _start(
    stream: Stream, actor: User | None, message: str, *, from_beginning: bool = False, on: Vps | None = None
) -> Run:
    owner = lock_owner(stream)
    current = Stream.objects.select_related("run").get(pk=stream.pk)
    lifecycle.require(current.state, Event.START)
    rules.check_startable(current)
    rules.check_limit(owner, current)
    rules.check_keys_free(current, rules.enabled_destinations(current))
    if on is not None:
        _check_takes(on)
    failed = current.run if current.state is Status.ERROR and not from_beginning else None
    run = Run.objects.create(stream=current, tested_vps=on, **(interrupting.going_on(failed) if failed else {}))
    lifecycle.fire(current.pk, Event.START, run_id=run.pk, actor=actor, message=message)
    tested = {"on": on.name} if on else {}
    audit.record(actor, "start", current, None, run=str(run.pk), **_why(message), **tested)
    send_after_commit(tasks.start_stream, str(run.pk), robust=True)
    return run


@again_on_conflict
@transaction.atomic
def try_now(stream: Stream, actor: User | None) -> None:
    """The next try of a stream that was interrupted, at once. It counts as that try."""
    lifecycle.lock(stream.pk)
    now = timezone.now()
    waiting = Run.objects.filter(
        stream_id=stream.pk,
        stream__status=Status.STARTING,
        stream__run=F("pk"),
        commanded_at__isnull=True,
        moved_at__isnull=True,
        retry_at__gt=now,
    )
    run = waiting.first()
    if run is None:
        raise WrongState(_("The stream does not wait for another try at this moment."))
    Run.objects.filter(pk=run.pk).update(retry_at=now)
    audit.record(actor, "try now", stream, None, run=str(run.pk))
    send_after_commit(tasks.start_stream, str(run.pk), robust=True)
    progress.poke(stream.pk, stream.owner_id)


@again_on_conflict
@transaction.atomic
def stop(stream: Stream, actor: User | None, message: str = "") -> None:
    """Wants the stream off air: STOPPING, until its agent says so or the time is up (STR-5)."""
    current = Stream.objects.select_related("run").get(pk=stream.pk)
    lifecycle.require(current.state, Event.STOP)
    if current.run is None or (current.state is Status.ERROR and not is_still_held(current)):
        raise WrongState(_("The stream is already off air."))
    lifecycle.fire(current.pk, Event.STOP, run_id=current.run.pk, actor=actor, message=message)
    audit.record(actor, "stop", current, None, run=str(current.run.pk), **_why(message))
    send_after_commit(tasks.stop_stream, str(current.run.pk), robust=True)


@again_on_conflict
@transaction.atomic
def force_stop(stream: Stream, actor: User | None, message: str = "") -> None:
    """Ends the stream on paper now. Its agent is told too, and told again while it still holds the run."""
    current = Stream.objects.select_related("run").get(pk=stream.pk)
    lifecycle.require(current.state, Event.FORCED)
    if current.run is None:
        raise WrongState(_("The stream is already off air."))
    words = message or _("Force-stopped by an operator.")
    lifecycle.fire(current.pk, Event.FORCED, run_id=current.run.pk, actor=actor, message=words)
    audit.record(actor, "force stop", current, run=str(current.run.pk))
    send_after_commit(tasks.stop_stream, str(current.run.pk), robust=True)


def move(stream: Stream, actor: User | None, to: int | None = None) -> Vps:
    """An operator's: on to another VPS, this one or the best there is. Its place in the playlist is kept."""
    current = Stream.objects.select_related("run__vps").get(pk=stream.pk)
    run = current.run
    if current.state is not Status.STREAMING or run is None or run.vps is None:
        raise WrongState(_("«%(title)s» is not on air.") % {"title": current.title})
    run.stream = current
    old = run.vps.name
    target = moving.move(run, _("an operator wants it there"), timezone.now(), actor=actor, to=to)
    audit.record(actor, "move elsewhere", current, None, run=str(run.pk), old=old, new=target.name)
    return target


def _check_takes(vps: Vps) -> None:
    """Said at once, where the one who asks can choose another; the start looks again under the lock."""
    choice = selection.choose_only(candidates(timezone.now()), vps.pk)
    if choice.best is None:
        raise NotReady(_("The VPS cannot take the stream now: %(why)s.") % {"why": choice.why_none()})


def is_still_held(stream: Stream) -> bool:
    """A failed stream whose agent has reported the run since it ended."""
    return snapshot.is_held_after_end(stream.run, timezone.now())


def lock_owner(stream: Stream) -> User:
    """The owner's row, locked until the commit: whatever counts a user's streams does so under it."""
    return lock_user(stream.owner_id)


def _why(message: str) -> dict[str, str]:
    return {"why": message} if message else {}
