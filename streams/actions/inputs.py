"""Saved live inputs: addresses that may stand in playlists beside videos."""

from __future__ import annotations

from django.db import transaction
from django.utils.text import get_text_list
from django.utils.translation import gettext as _

from accounts import audit
from accounts.locks import lock_user
from accounts.models import User
from kit.conflicts import again_on_conflict
from streams import commanding, rules
from streams.errors import InUse
from streams.models import LiveInput, Stream
from streams.spec import LiveInputSpec


@again_on_conflict
@transaction.atomic
def save_live_input(owner: User, spec: LiveInputSpec, actor: User | None, live: LiveInput | None = None) -> LiveInput:
    """Creates a live input, or changes one; streams on air follow at once."""
    owner = lock_user(owner.pk)
    clean = rules.check_live_input(spec, owner, is_new=live is None)
    # Read again under the lock: an address somebody else stored meanwhile must stay.
    row = LiveInput.objects.get(pk=live.pk) if live else LiveInput(owner=owner)
    row.name = clean.name
    if clean.url:
        row.set_url(clean.url)
    row.save()
    for stream in Stream.objects.on_air().filter(items__live=row).distinct():
        commanding.update_after_commit(stream)
    audit.record(actor, "change" if live else "create", row, address_changed=bool(clean.url))
    return row


@again_on_conflict
@transaction.atomic
def delete_live_input(live: LiveInput, actor: User | None) -> None:
    """Refused while it stands in a playlist, naming the streams."""
    lock_user(live.owner_id)
    titles = sorted(set(live.playlist_items.values_list("stream__title", flat=True)))
    if titles:
        streams = get_text_list([f"«{title}»" for title in titles], _("and"))
        raise InUse(
            _("«%(input)s» is used in %(streams)s. Take it out there first.") % {"input": live, "streams": streams}
        )
    audit.record(actor, "delete", live)
    live.delete()
