"""What a stream and a destination must be: every check of what users type, in one place (STR-3, DST-1, SEC-2).

Functions raise `errors.Refused` subclasses with words for the user; nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from media_library.models import FileStatus, VideoFile
from streams.addresses import (
    has_control,
    key_problem,
    live_url_problem,
    name_problem,
    place_of,
    url_problem,
    via_problem,
)
from streams.errors import Invalid, KeyInUse, NotReady, OverLimit
from streams.models import LONGEST_BROADCAST_H, Destination, LiveInput, Order, Platform, Stream, StreamDestination
from streams.playlist import MAX_ITEMS
from streams.spec import DestinationSpec, ItemSpec, LiveInputSpec, SlateSpec, StreamSpec

MOST_DESTINATIONS: Final = 20
MOST_LIVE_INPUTS: Final = 50
LONGEST_DESCRIPTION: Final = 5000
MOST_RESTARTS: Final = 1000

Place = tuple[str, str]
"""Server and application, and the key: equal for what would tear each other's connection down."""


# ------------------------------------------------------------------------------------------------ destinations


def check_destination(spec: DestinationSpec, *, kept_key: str = "") -> DestinationSpec:
    """The cleaned spec. `kept_key`: the one that is there, which an empty key keeps."""
    clean = replace(spec, name=spec.name.strip(), url=spec.url.strip(), key=(spec.key or "").strip() or None)
    problems = {
        "platform": None if spec.platform in Platform.values else _("Choose a platform."),
        "name": name_problem(clean.name, _longest_name(Destination)),
        "url": url_problem(clean.url),
        "key": None if clean.key is None and kept_key else key_problem(clean.key or ""),
        "via": via_problem(clean.via, clean.url, clean.key or kept_key),
        "renew_every_h": _number_problem(clean.renew_every_h or 0, 0, LONGEST_BROADCAST_H),
    }
    _raise_if_any(problems)
    return clean


def check_live_input(spec: LiveInputSpec, owner: User, *, is_new: bool) -> LiveInputSpec:
    """The cleaned spec. Call while the owner's row is locked: it counts what they have."""
    clean = LiveInputSpec(spec.name.strip(), (spec.url or "").strip() or None)
    problems = {
        "name": name_problem(clean.name, _longest_name(LiveInput)),
        "url": None if clean.url is None and not is_new else live_url_problem(clean.url or ""),
    }
    _raise_if_any(problems)
    if is_new and LiveInput.objects.of(owner).count() >= MOST_LIVE_INPUTS:
        raise OverLimit(
            _("You have %(most)d live inputs, the most there may be. Delete one first.") % {"most": MOST_LIVE_INPUTS}
        )
    return clean


def _longest_name(model: type[Destination | LiveInput]) -> int:
    return model._meta.get_field("name").max_length or 0


# ------------------------------------------------------------------------------------------------ streams


def check_stream(spec: StreamSpec, owner: User, *, has_picture: bool = False) -> StreamSpec:
    """The cleaned spec: title there, videos the owner's and completed, inputs and destinations the owner's.

    `has_picture`: a slate that is a picture may keep the one that is there.
    """
    clean = replace(
        spec,
        title=spec.title.strip(),
        description=spec.description.strip(),
        restart_every_h=spec.restart_every_h or None,
    )
    problems = {
        "title": _title_problem(clean.title),
        "description": _description_problem(clean.description),
        "order": None if clean.order in Order.values else _("Choose an order."),
        "max_restarts": _number_problem(clean.max_restarts, 0, MOST_RESTARTS),
        "restart_every_h": _number_problem(clean.restart_every_h or 1, 1, LONGEST_BROADCAST_H),
        "files": _items_problem(clean.items, owner),
        "destinations": _destinations_problem([out.destination_id for out in clean.outputs], owner),
        "slate": _slate_problem(clean.slate, owner, has_picture=has_picture),
    }
    _raise_if_any(problems)
    return clean


def _title_problem(title: str) -> str | None:
    if not title:
        return _("A title is required.")
    if len(title) > 255:
        return _("A title has at most 255 characters.")
    return _("A title has no control characters.") if has_control(title) else None


def _number_problem(number: int, least: int, most: int) -> str | None:
    if least <= number <= most:
        return None
    return _("Choose a number from %(least)d to %(most)d.") % {"least": least, "most": most}


def _description_problem(description: str) -> str | None:
    if len(description) > LONGEST_DESCRIPTION:
        return _("A description has at most %(most)d characters.") % {"most": LONGEST_DESCRIPTION}
    return _("Control characters are not allowed.") if has_control(description) else None


def _items_problem(items: tuple[ItemSpec, ...], owner: User) -> str | None:
    if not items:
        return _("Choose at least one video or live input.")
    if len(items) > MAX_ITEMS:
        return _("A playlist has at most %(most)d items.") % {"most": MAX_ITEMS}
    lives = {item.id for item in items if item.kind == "live"}
    if LiveInput.objects.of(owner).filter(pk__in=lives).count() < len(lives):
        return _("A chosen live input is not there any more.")
    return _files_problem({item.id for item in items if item.kind == "file"}, owner)


def _files_problem(file_ids: set[int], owner: User) -> str | None:
    known = VideoFile.objects.of(owner).in_bulk(file_ids)
    if file_ids - set(known):
        return _("A chosen video is not in your library any more.")
    waiting = next((file for file in known.values() if file.state is not FileStatus.COMPLETED), None)
    return _("«%(title)s» is not ready yet.") % {"title": waiting.title} if waiting else None


def _slate_problem(slate: SlateSpec, owner: User, *, has_picture: bool) -> str | None:
    match slate.kind:
        case "made":
            return None
        case "picture":
            return None if slate.picture or has_picture else _("Choose the picture.")
        case "clip" if slate.clip_id:
            return _files_problem({slate.clip_id}, owner)
        case "clip":
            return _("Choose the video.")


def _destinations_problem(ids: list[int], owner: User) -> str | None:
    if not ids:
        return _("Choose at least one destination.")
    if len(ids) > MOST_DESTINATIONS:
        return _("A stream has at most %(most)d destinations.") % {"most": MOST_DESTINATIONS}
    if max(Counter(ids).values()) > 1:
        return _("A destination is chosen twice.")
    if Destination.objects.of(owner).filter(pk__in=ids).count() != len(ids):
        return _("A chosen destination is not there any more.")
    return None


# ------------------------------------------------------------------------------------------------ starting


def check_startable(stream: Stream) -> None:
    """A stream may have rotted since it was saved: files deleted or failed, destinations removed or off."""
    items = list(stream.items.select_related("file"))
    if not items:
        raise NotReady(_("The playlist is empty. Add a video first."))
    files = [item.file for item in items if item.file is not None]
    waiting = next((file for file in files if file.state is not FileStatus.COMPLETED), None)
    if waiting is not None:
        raise NotReady(_("«%(title)s» is not ready yet.") % {"title": waiting.title})
    if not enabled_destinations(stream):
        raise NotReady(_("Every destination is switched off. Switch one on first."))


def enabled_destinations(stream: Stream) -> list[Destination]:
    outputs = stream.outputs.select_related("destination").filter(destination__deleted_at__isnull=True)
    return [output.destination for output in outputs if output.enabled]


def check_limit(owner: User, stream: Stream) -> None:
    """To be called while the owner's row is locked (ACC-4)."""
    allowed = owner.plan.max_concurrent_streams
    taken = Stream.objects.of(owner).on_air().exclude(pk=stream.pk).count()
    if taken >= allowed:
        raise OverLimit(
            _("Your package allows %(allowed)d streams on air at once. Stop one first.") % {"allowed": allowed}
        )


def check_keys_free(stream: Stream, wanted: Iterable[Destination]) -> None:
    """No other stream on air may push one of the keys. Call while the owner's row is locked: among one owner's
    streams it holds under races; two owners who start in the same moment are told apart by the platform."""
    places = {_place(destination): destination for destination in wanted}
    rivals = [other for other in _pushed_now(stream) if _place(other.destination) in places]
    rivals.sort(key=lambda other: other.stream.owner_id != stream.owner_id)
    if rivals:
        raise KeyInUse(_key_in_use(stream, rivals[0].stream, places[_place(rivals[0].destination)]))


def check_untouched(owner: User, url: str, key: str) -> None:
    """Nothing on air pushes there: a second connection would tear the first one down at many platforms."""
    rivals = [other.stream for other in _pushed_now() if _place(other.destination) == place_of(url, key)]
    mine = next((stream for stream in rivals if stream.owner_id == owner.pk), None)
    if mine is not None:
        raise KeyInUse(
            _(
                "«%(stream)s» is on air with this key, and a test would tear its connection down. "
                "The page of that stream shows how the connection is."
            )
            % {"stream": mine.title}
        )
    if rivals:
        raise KeyInUse(_("This key is on air in another account: a test would tear its connection down."))


def _pushed_now(but: Stream | None = None) -> QuerySet[StreamDestination]:
    others = Stream.objects.on_air().exclude(pk=but.pk if but else 0)
    return StreamDestination.objects.filter(enabled=True, stream__in=others).select_related("destination", "stream")


def _key_in_use(stream: Stream, rival: Stream, mine: Destination) -> str:
    """Names the other stream to its owner alone."""
    if rival.owner_id != stream.owner_id:
        return _("The key of «%(destination)s» is on air already, in another account.") % {"destination": mine.name}
    return _("«%(stream)s» is on air and already uses the key of «%(destination)s».") % {
        "stream": rival.title,
        "destination": mine.name,
    }


def _place(destination: Destination) -> Place:
    return place_of(destination.url, destination.key())


def _raise_if_any(problems: dict[str, str | None]) -> None:
    found = {name: words for name, words in problems.items() if words}
    if found:
        raise Invalid(found)
