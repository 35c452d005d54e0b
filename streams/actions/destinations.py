"""Saved destinations, and switching them on and off while on air."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.locks import lock_user
from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import commanding, progress, rules
from streams.actions.running import lock_owner
from streams.errors import InUse, NotReady
from streams.models import Destination, Stream, StreamDestination
from streams.spec import DestinationSpec


@again_on_conflict
@transaction.atomic
def save_destination(
    owner: User, spec: DestinationSpec, actor: User | None, destination: Destination | None = None
) -> Destination:
    """Creates a destination, or changes one; streams on air follow at once."""
    owner = lock_user(owner.pk)
    # Read again under the lock: a key somebody else stored meanwhile must stay.
    row = Destination.objects.get(pk=destination.pk) if destination else Destination(owner=owner)
    clean = rules.check_destination(spec, kept_key=row.key() if destination else "")
    verb = "change" if destination else "create"
    row.platform, row.name, row.url, row.via = clean.platform, clean.name, clean.url, clean.via
    row.renew_every_h = clean.renew_every_h
    if clean.key:
        row.set_key(clean.key)
    row.save()
    for stream in _on_air_with(row):
        rules.check_keys_free(stream, [row])
        commanding.update_after_commit(stream)
    audit.record(actor, verb, row, key_changed=bool(clean.key))
    return row


@again_on_conflict
@transaction.atomic
def delete_destination(destination: Destination, actor: User | None) -> None:
    """Off the list, and out of every stream at rest. Refused while a stream on air pushes to it."""
    lock_user(destination.owner_id)
    busy = _on_air_with(destination)
    if busy:
        raise InUse(
            _("«%(stream)s» is on air and uses «%(destination)s». Remove it there, or stop the stream first.")
            % {"stream": busy[0].title, "destination": destination.name}
        )
    destination.outputs.all().delete()
    Destination.objects.filter(pk=destination.pk).update(deleted_at=timezone.now())
    audit.record(actor, "delete", destination)


@again_on_conflict
@transaction.atomic
def set_output_enabled(output: StreamDestination, enabled: bool, actor: User | None) -> None:
    """Switches one destination of a stream on or off; on air, the others notice nothing (DST-4)."""
    stream = output.stream
    lock_owner(stream)
    StreamDestination.objects.filter(pk=output.pk).update(enabled=enabled)
    current = Stream.objects.get(pk=stream.pk)
    if not current.state.is_resting:
        _check_on_air(current, output, enabled)
        commanding.update_after_commit(current)
    audit.record(actor, "enable" if enabled else "disable", output.destination, stream=stream.pk)
    progress.poke(stream.pk, stream.owner_id)


def _check_on_air(stream: Stream, output: StreamDestination, enabled: bool) -> None:
    if enabled:
        rules.check_keys_free(stream, [output.destination])
    elif not rules.enabled_destinations(stream):
        raise NotReady(_("This is the last destination that is on. Stop the stream instead."))


def reveal_key(destination: Destination, actor: User, request: HttpRequest | None = None) -> str:
    """The clear key, for its owner's eyes, and a line in the audit log about it (DST-2)."""
    audit.record(actor, "reveal key", destination, request)
    return destination.key()


def _on_air_with(destination: Destination) -> list[Stream]:
    """Streams that push there now (rows locked by the owner's lock)."""
    outputs = destination.outputs.filter(enabled=True, stream__in=Stream.objects.on_air())
    return [output.stream for output in outputs.select_related("stream")]
