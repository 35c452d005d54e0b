"""Small changes to a stream from its page, on air too: one item, one switch, one destination. Its agent applies the
difference and drops no connection (STR-6, DST-4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import commanding, progress, rules
from streams.actions import editing
from streams.actions.running import lock_owner
from streams.errors import Gone, Invalid, NotReady, OverLimit
from streams.models import Destination, Order, PlaylistItem, Stream, StreamDestination
from streams.spec import videos

WAYS = {"up": -1, "down": 1}


@again_on_conflict
@transaction.atomic
def move_item(stream: Stream, item_id: int, actor: User | None, *, way: str = "", to: int | None = None) -> None:
    """One place `up` or `down`, or `to` a place counted from 0; beyond the ends is at the end."""
    current = _locked(stream)
    items = list(current.items.order_by("position"))
    index = _index(items, item_id)
    if to is None and way not in WAYS:
        raise Invalid({"way": _("An item is moved up, down, or to a place.")})
    place = index + WAYS[way] if to is None else to
    moved = items.pop(index)
    items.insert(min(len(items), max(0, place)), moved)
    _number(items)
    _changed(current, actor, "move", item=item_id, place=moved.position)


@again_on_conflict
@transaction.atomic
def remove_item(stream: Stream, item_id: int, actor: User | None) -> None:
    """Also what is playing: the next one follows."""
    current = _locked(stream)
    items = list(current.items.order_by("position"))
    removed = items.pop(_index(items, item_id))
    if not items:
        raise NotReady(_("This is the last item of the playlist. Add another one before you take it out."))
    removed.delete()
    _number(items)
    _changed(current, actor, "remove", item=item_id)


@again_on_conflict
@transaction.atomic
def replace_playlist(stream: Stream, file_ids: Sequence[int], actor: User | None) -> None:
    """Another list; items that stand in both keep their place in what agents report."""
    lock_owner(stream)
    current = Stream.objects.get(pk=stream.pk)
    editing.edit(current, replace(editing.spec_of(current), items=videos(file_ids)), actor)


@again_on_conflict
@transaction.atomic
def set_playing(stream: Stream, actor: User | None, *, loop: bool | None = None, order: str | None = None) -> None:
    """Whether the list starts over, and in which order it plays; None leaves it."""
    current = _locked(stream)
    wanted: dict[str, str | bool] = {} if loop is None else {"loop": loop}
    if order is not None:
        if order not in Order.values:
            raise Invalid({"order": _("Choose an order.")})
        wanted["order"] = order
    if wanted:
        Stream.objects.filter(pk=current.pk).update(**wanted)
        _changed(current, actor, "change", **wanted)


@again_on_conflict
@transaction.atomic
def add_output(stream: Stream, destination_id: int, actor: User | None, *, enabled: bool = True) -> StreamDestination:
    """One more of the owner's destinations; one that is there already is left as it is."""
    current = _locked(stream)
    destination = Destination.objects.of(current.owner).filter(pk=destination_id).first()
    if destination is None:
        raise Gone(_("That destination is not there any more."))
    known = current.outputs.filter(destination=destination).first()
    if known is not None:
        return known
    if current.outputs.count() >= rules.MOST_DESTINATIONS:
        raise OverLimit(_("A stream has at most %(most)d destinations.") % {"most": rules.MOST_DESTINATIONS})
    if enabled and not current.state.is_resting:
        rules.check_keys_free(current, [destination])
    added = StreamDestination.objects.create(stream=current, destination=destination, enabled=enabled)
    _changed(current, actor, "add destination", destination=destination.pk)
    return added


@again_on_conflict
@transaction.atomic
def remove_output(stream: Stream, output_id: int, actor: User | None) -> None:
    """Out of this stream; the destination itself stays saved."""
    current = _locked(stream)
    output = current.outputs.filter(pk=output_id).first()
    if output is None:
        raise Gone(_("That destination is not part of this stream any more."))
    output.delete()
    if not current.state.is_resting and not rules.enabled_destinations(current):
        raise NotReady(_("This is the last destination that is on. Stop the stream instead."))
    _changed(current, actor, "remove destination", destination=output.destination_id)


def _locked(stream: Stream) -> Stream:
    """The stream as it is now, with its owner's row locked until the commit."""
    lock_owner(stream)
    return Stream.objects.select_related("owner").get(pk=stream.pk)


def _index(items: list[PlaylistItem], item_id: int) -> int:
    for index, item in enumerate(items):
        if item.pk == item_id:
            return index
    raise Gone(_("That item is no longer in the playlist."))


def _number(items: list[PlaylistItem]) -> None:
    for position, item in enumerate(items):
        item.position = position
    PlaylistItem.objects.bulk_update(items, ["position"])


def _changed(stream: Stream, actor: User | None, verb: str, **details: str | bool | int) -> None:
    if not stream.state.is_resting:
        commanding.update_after_commit(stream)
    audit.record(actor, verb, stream, None, **details)
    progress.poke(stream.pk, stream.owner_id)
