"""Start, stop, force stop."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from fleet import selection
from fleet.candidates import candidates
from fleet.models import Vps
from kit.actors import send_after_commit
from kit.conflicts import again_on_conflict
from streams import interrupting, lifecycle, rules, snapshot, tasks
from streams.errors import NotReady, WrongState
from streams.lifecycle import Event
from streams.models import Run, Status, Stream


@again_on_conflict
@transaction.atomic
def start(stream: Stream, actor: User | None, message: str = "") -> Run:
    """Wants the stream on air: STARTING, a run of its own, and the actor that finds it a VPS (STR-4). After a failure
    it goes on with the item it was at. `message` says why, where it was nobody's click."""
    return _start(stream, actor, message, None)


@again_on_conflict
@transaction.atomic
def start_on(stream: Stream, vps: Vps, actor: User | None) -> Run:
    """The same, on this VPS and no other: an operator tests it (OPS-1)."""
    return _start(stream, actor, "", vps)


def _start(stream: Stream, actor: User | None, message: str, on: Vps | None) -> Run:
    owner = lock_owner(stream)
    current = Stream.objects.select_related("run").get(pk=stream.pk)
    lifecycle.require(current.state, Event.START)
    rules.check_startable(current)
    rules.check_limit(owner, current)
    rules.check_keys_free(current, rules.enabled_destinations(current))
    if on is not None:
        _check_takes(on)
    failed = current.run if current.state is Status.ERROR else None
    first_item_id = interrupting.item_to_go_on_with(failed) if failed else None
    run = Run.objects.create(stream=current, first_item_id=first_item_id, tested_vps=on)
    lifecycle.fire(current.pk, Event.START, run_id=run.pk, actor=actor, message=message)
    tested = {"on": on.name} if on else {}
    audit.record(actor, "start", current, None, run=str(run.pk), **_why(message), **tested)
    send_after_commit(tasks.start_stream, str(run.pk), robust=True)
    return run


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
    return User.objects.select_for_update().get(pk=stream.owner_id)


def _why(message: str) -> dict[str, str]:
    return {"why": message} if message else {}
