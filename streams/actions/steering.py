"""Orders for what is on air: next, previous, jump, play next, pause, resume. Answered by what really happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis
import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.models import User
from agent.protocol import STEERINGS, SteerStream
from fleet import answers, commands
from kit.conflicts import again_on_conflict
from kit.logs import mask
from media_library.models import VideoFile
from streams import commanding, progress, reports
from streams.actions.running import lock_owner
from streams.errors import Gone, Invalid, NotDone, OverLimit, Refused, Unreachable, WrongState
from streams.models import PlaylistItem, Run, RunEvent, Status, Stream, StreamDestination
from streams.playlist import MAX_ITEMS

log = structlog.get_logger(__name__)
WAIT_S: Final = 1.0
RENEW: Final = "renew"
ABOUT_AN_ITEM: Final = ("jump", "play_next")
LONGEST_WORDS: Final = 300
NOT_ANSWERED: Final = gettext_lazy("The server has not answered within a second; what happened will show here.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order, in words. Not `answered`: the server took it and has not said yet what it did."""

    words: str
    answered: bool = True
    item_id: int | None = None
    """What is on air now; None for the slate, or for a server that has not answered."""


def steer(stream: Stream, order: str, actor: User | None, item_id: int | None = None) -> Outcome:
    """Waits at most a second, so not to be called inside a transaction. Two who steer at once both have their order
    carried out, in turn: the last one wins."""
    run = _steerable(stream)
    item = _item(run.stream, order, item_id)
    audit.record(actor, "steer", run.stream, order=order, item=item.pk if item else None)
    command = _command(run, order, item)
    _publish(run, command)
    answer = answers.wait(command.order_id, WAIT_S, vps_id=run.vps_id, run_id=str(run.pk))
    if answer is not None and not answer["ok"]:
        words = mask(answer["message"])[:LONGEST_WORDS]
        raise NotDone(words or _("The server could not do that."))
    outcome = _outcome(run, order, item, actor, answer)
    progress.poke(run.stream_id, run.stream.owner_id)
    return outcome


def renew(output: StreamDestination, actor: User | None) -> Outcome:
    """Connects a destination anew now, closed properly before; or has one that waits for its next try tried at once.
    Waits as `steer` does."""
    run = _steerable(output.stream)
    if not output.enabled:
        raise WrongState(_("«%(name)s» is switched off.") % {"name": output.destination.name})
    audit.record(actor, "renew", run.stream, destination=output.destination_id)
    command = _command(run, RENEW, None, output.pk)
    _publish(run, command)
    answer = answers.wait(command.order_id, WAIT_S, vps_id=run.vps_id, run_id=str(run.pk))
    if answer is not None and not answer["ok"]:
        raise NotDone(mask(answer["message"])[:LONGEST_WORDS] or _("The server could not do that."))
    name = output.destination.name
    _note(run, actor, {"order": RENEW, "item": name} | ({} if answer else {"answered": False}))
    progress.poke(run.stream_id, run.stream.owner_id)
    if answer is None:
        return Outcome(str(NOT_ANSWERED), answered=False)
    return Outcome(_("«%(name)s» is being connected anew.") % {"name": name}, item_id=answer["item_id"])


def insert_next(stream: Stream, file_id: int, actor: User | None) -> Outcome:
    """One of the owner's videos into the playlist behind what plays now, and on air after it."""
    item = _insert(stream, file_id, actor)
    try:
        return steer(stream, "play_next", actor, item.pk)
    except Refused as refusal:
        words = _("«%(title)s» stands in the playlist now, but it was not set to play next: %(why)s")
        return Outcome(words % {"title": item.title, "why": refusal}, answered=False)


@again_on_conflict
@transaction.atomic
def _insert(stream: Stream, file_id: int, actor: User | None) -> PlaylistItem:
    owner = lock_owner(stream)
    run = _steerable(stream)
    file = VideoFile.objects.of(owner).playable().filter(pk=file_id).first()
    if file is None:
        raise Gone(_("That video is not in the library any more, or not ready yet."))
    items = list(run.stream.items.order_by("position"))
    if len(items) >= MAX_ITEMS:
        raise OverLimit(_("A playlist has at most %(most)d items.") % {"most": MAX_ITEMS})
    now_id = (run.report or {}).get("item_id")
    place = next((index + 1 for index, item in enumerate(items) if item.pk == now_id), len(items))
    for position, item in enumerate(items):
        item.position = position + (position >= place)
    PlaylistItem.objects.bulk_update(items, ["position"])
    added = PlaylistItem.objects.create(stream=run.stream, file=file, position=place)
    commanding.update_after_commit(run.stream)
    audit.record(actor, "insert", run.stream, file=file.pk, place=place)
    progress.poke(run.stream_id, owner.pk)
    return added


# ------------------------------------------------------------------------------------------------ asking


def _steerable(stream: Stream) -> Run:
    """The run that is on air, with its stream as it is now."""
    current = Stream.objects.select_related("run__vps").get(pk=stream.pk)
    run = current.run
    if current.state is not Status.STREAMING or run is None or run.vps is None:
        raise WrongState(_("«%(title)s» is not on air.") % {"title": current.title})
    if not run.vps.is_reachable(timezone.now()):
        raise Unreachable(_("«%(vps)s» is silent. Try again when it is heard of.") % {"vps": run.vps.name})
    run.stream = current
    return run


def _item(stream: Stream, order: str, item_id: int | None) -> PlaylistItem | None:
    if order not in STEERINGS or order == RENEW:
        raise Invalid({"order": _("There is no such order.")})
    if order not in ABOUT_AN_ITEM:
        return None
    item = stream.items.select_related("file", "live").filter(pk=item_id or 0).first()
    if item is None:
        raise Gone(_("That item is no longer in the playlist."))
    return item


def _command(run: Run, order: str, item: PlaylistItem | None, output_id: int | None = None) -> SteerStream:
    return SteerStream(
        stream_id=run.stream_id,
        run_id=str(run.pk),
        order_id=answers.new_id(),
        order=order,
        timestamp=timezone.now().timestamp(),
        item_id=item.pk if item else None,
        destination_id=output_id,
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
    )


def _publish(run: Run, command: SteerStream) -> None:
    try:
        heard = commands.publish(run.vps_id or 0, command)
    except redis.RedisError as error:
        log.warning("stream.steer_undelivered", stream=run.stream_id, error=type(error).__name__)
        heard = 0
    if not heard:
        raise Unreachable(_("The server does not listen at this moment. The stream goes on as it was."))


# ------------------------------------------------------------------------------------------------ what came of it


def _outcome(
    run: Run, order: str, item: PlaylistItem | None, actor: User | None, answer: dict[str, Any] | None
) -> Outcome:
    facts: dict[str, Any] = {"order": order, **_titled("item", item)}
    if answer is None:
        _note(run, actor, facts | {"answered": False})
        return Outcome(str(NOT_ANSWERED), answered=False)
    now_id = answer["item_id"]
    now = run.stream.items.select_related("file", "live").filter(pk=now_id or 0).first()
    _note(run, actor, facts | _titled("now", now))
    if now is not None or now_id is None:
        reports.steered(run, order, now, item.pk if item else None)
    return Outcome(_words(order, item, now, is_slate=now_id is None), item_id=now_id)


def _note(run: Run, actor: User | None, facts: dict[str, Any]) -> None:
    """A line of the timeline."""
    RunEvent.objects.create(stream_id=run.stream_id, run=run, kind=RunEvent.Kind.STEERED, actor=actor, facts=facts)


def _titled(name: str, item: PlaylistItem | None) -> dict[str, str]:
    return {} if item is None else {name: item.title}


def _words(order: str, item: PlaylistItem | None, now: PlaylistItem | None, *, is_slate: bool) -> str:
    if order == "play_next" and item is not None:
        return _("«%(title)s» plays next.") % {"title": item.title}
    if order == "pause" and is_slate:
        return _("Paused: the slate is on air.")
    if is_slate:
        return _("The slate is on air.")
    if now is None:
        return _("Done.")
    return _("Now playing «%(title)s».") % {"title": now.title}
