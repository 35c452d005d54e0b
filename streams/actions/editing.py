"""Create, edit, duplicate, delete."""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import commanding, progress, rules, slates
from streams.actions.running import lock_owner
from streams.errors import WrongState
from streams.models import PlaylistItem, Stream, StreamDestination
from streams.spec import ItemSpec, OutputSpec, SlateSpec, StreamSpec

_PLAIN = ("title", "description", "loop", "order", "keep_files_after_stop", "max_restarts", "restart_every_h")


@again_on_conflict
@transaction.atomic
def create(owner: User, spec: StreamSpec, actor: User | None = None) -> Stream:
    clean = rules.check_stream(spec, owner)
    stream = Stream.objects.create(owner=owner, **{name: getattr(clean, name) for name in _PLAIN})
    _set_playlist(stream, clean.items)
    _set_outputs(stream, clean.outputs)
    slates.apply(stream, clean.slate)
    audit.record(actor or owner, "create", stream)
    progress.poke_list(stream.owner_id)
    return stream


@again_on_conflict
@transaction.atomic
def edit(stream: Stream, spec: StreamSpec, actor: User | None) -> Stream:
    """Changes a stream, on air too: its agent applies the difference and drops no connection (STR-6)."""
    owner = lock_owner(stream)
    clean = rules.check_stream(spec, owner, has_picture=slates.picture_of(stream) is not None)
    Stream.objects.filter(pk=stream.pk).update(**{name: getattr(clean, name) for name in _PLAIN})
    _set_playlist(stream, clean.items)
    _set_outputs(stream, clean.outputs)
    current = Stream.objects.get(pk=stream.pk)
    is_on_air = not current.state.is_resting
    if is_on_air:
        rules.check_startable(current)
        rules.check_keys_free(current, rules.enabled_destinations(current))
    slates.apply(current, clean.slate)
    if is_on_air:
        commanding.update_after_commit(current)
    audit.record(actor, "change", current)
    progress.poke(current.pk, current.owner_id)
    return current


@again_on_conflict
@transaction.atomic
def duplicate(stream: Stream, actor: User | None) -> Stream:
    """A copy at rest, with the same playlist, destinations and slate."""
    spec = spec_of(stream)
    title = _("%(title)s (copy)") % {"title": spec.title[:240]}
    copy = Stream.objects.create(
        owner_id=stream.owner_id,
        preferred_vps_id=stream.preferred_vps_id,
        **{name: getattr(spec, name) for name in _PLAIN if name != "title"},
        title=title,
    )
    _set_playlist(copy, spec.items)
    _set_outputs(copy, spec.outputs)
    slates.apply(copy, replace(spec.slate, picture=slates.still_of(stream)))
    audit.record(actor, "duplicate", copy, of=stream.pk)
    progress.poke_list(copy.owner_id)
    return copy


@again_on_conflict
@transaction.atomic
def delete(stream: Stream, actor: User | None) -> None:
    """Refused while it is on air or on its way there or back."""
    lock_owner(stream)
    current = Stream.objects.select_for_update().get(pk=stream.pk)
    if not current.state.is_resting:
        raise WrongState(_("«%(title)s» is on air. Stop it before you delete it.") % {"title": current.title})
    audit.record(actor, "delete", current)
    progress.poke(current.pk, current.owner_id)
    progress.poke_list(current.owner_id)
    slates.drop_picture(current)
    current.delete()


def spec_of(stream: Stream) -> StreamSpec:
    """What the stream is now, as the values an edit would take. Destinations that were deleted are left out."""
    outputs = stream.outputs.filter(destination__deleted_at__isnull=True)
    return StreamSpec(
        **{name: getattr(stream, name) for name in _PLAIN},
        items=tuple(item_spec_of(item) for item in stream.items.all()),
        outputs=tuple(OutputSpec(output.destination_id, output.enabled) for output in outputs),
        slate=slate_spec_of(stream),
    )


def item_spec_of(item: PlaylistItem) -> ItemSpec:
    return ItemSpec("live", item.live_id) if item.live_id else ItemSpec("file", item.file_id or 0)


def slate_spec_of(stream: Stream) -> SlateSpec:
    if stream.slate_clip_id:
        return SlateSpec("clip", stream.slate_clip_id)
    return SlateSpec("picture" if slates.picture_of(stream) else "made")


def _set_playlist(stream: Stream, wanted: tuple[ItemSpec, ...]) -> None:
    """Keeps the rows of items that stay (agents report positions under their ids), in their new order."""
    left: dict[ItemSpec, list[PlaylistItem]] = {}
    for item in stream.items.all():
        left.setdefault(item_spec_of(item), []).append(item)
    kept, added = [], []
    for position, spec in enumerate(wanted):
        if left.get(spec):
            item = left[spec].pop(0)
            item.position = position
            kept.append(item)
        else:
            added.append(PlaylistItem(stream=stream, position=position, **{f"{spec.kind}_id": spec.id}))
    gone = [item.pk for items in left.values() for item in items]
    PlaylistItem.objects.filter(pk__in=gone).delete()
    PlaylistItem.objects.bulk_update(kept, ["position"])
    PlaylistItem.objects.bulk_create(added)


def _set_outputs(stream: Stream, outputs: tuple[OutputSpec, ...]) -> None:
    """Keeps the rows of destinations that stay, so that their connections do."""
    wanted = {output.destination_id: output.enabled for output in outputs}
    stream.outputs.exclude(destination_id__in=wanted).delete()
    known = dict(stream.outputs.values_list("destination_id", "enabled"))
    for destination_id, enabled in wanted.items():
        if destination_id not in known:
            StreamDestination.objects.create(stream=stream, destination_id=destination_id, enabled=enabled)
        elif known[destination_id] != enabled:
            stream.outputs.filter(destination_id=destination_id).update(enabled=enabled)
