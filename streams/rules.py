"""What a stream and a destination must be: every check of what users type, in one place (STR-3, DST-1, SEC-2).

Functions raise `errors.Refused` subclasses with words for the user; nothing here writes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User
from kit.safe_url import is_private_literal
from media_library.models import FileStatus, VideoFile
from streams.errors import Invalid, KeyInUse, NotReady, OverLimit
from streams.models import Destination, Order, Platform, Stream, StreamDestination
from streams.playlist import MAX_ITEMS
from streams.spec import DestinationSpec, StreamSpec

LONGEST_KEY: Final = 500
MOST_DESTINATIONS: Final = 20
LONGEST_DESCRIPTION: Final = 5000
_LONGEST_HOST: Final = 253
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
_NEVER: Final = re.compile(r"[\s\"'`{};\\<>|\x00-\x1f\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


# ------------------------------------------------------------------------------------------------ destinations


def url_problem(url: str) -> str | None:
    """Why this is no place to push to, in words; None when it is one."""
    if _NEVER.search(url) or not url.isascii():
        return _("An RTMP address has no spaces, quotes or other special characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _("This is not an address.")
    if parts.scheme not in ("rtmp", "rtmps"):
        return _("The address must start with rtmp:// or rtmps://.")
    if not parts.hostname or port == 0:
        return _("The address names no server.")
    return _place_problem(parts)


def _place_problem(parts: SplitResult) -> str | None:
    if parts.username is not None or parts.password is not None:
        return _("Leave name and password out of the address.")
    if ":" not in (parts.hostname or "") and not _is_name(parts.hostname or ""):
        return _("«%(host)s» cannot be the name of a server.") % {"host": parts.hostname}
    if parts.fragment or {".", ".."} & set(parts.path.split("/")):
        return _("An RTMP address has no «#», «/./» or «/../».")
    if not parts.path.strip("/"):
        return _("The address names no application, as /live2 in rtmp://a.rtmp.youtube.com/live2.")
    if is_private_literal(parts.hostname or "") and not settings.ALLOW_PRIVATE_DESTINATIONS:
        return _("This address is inside a private network. Use one that is reachable from the internet.")
    return None


def _is_name(host: str) -> bool:
    """What the domain name system could hold, or an IPv4 address."""
    return len(host) <= _LONGEST_HOST and all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def key_problem(key: str) -> str | None:
    if not key:
        return _("The stream key is required.")
    if len(key) > LONGEST_KEY:
        return _("A stream key has at most %(most)d characters.") % {"most": LONGEST_KEY}
    if _NEVER.search(key) or not key.isascii():
        return _("A stream key has no spaces, quotes or other special characters.")
    return None


def check_destination(spec: DestinationSpec, *, has_key: bool) -> DestinationSpec:
    """The cleaned spec. `has_key`: an empty key keeps the one that is there."""
    clean = DestinationSpec(spec.platform, spec.name.strip(), spec.url.strip(), (spec.key or "").strip() or None)
    problems = {
        "platform": None if spec.platform in Platform.values else _("Choose a platform."),
        "name": _name_problem(clean.name),
        "url": _("The address is too long.") if len(clean.url) > LONGEST_KEY else url_problem(clean.url),
        "key": None if clean.key is None and has_key else key_problem(clean.key or ""),
    }
    _raise_if_any(problems)
    return clean


def _name_problem(name: str) -> str | None:
    if not name:
        return _("A name is required.")
    longest = Destination._meta.get_field("name").max_length or 0
    if len(name) > longest:
        return _("A name has at most %(most)d characters.") % {"most": longest}
    return _("A name has no control characters.") if _CONTROL.search(name) else None


# ------------------------------------------------------------------------------------------------ streams


def check_stream(spec: StreamSpec, owner: User) -> StreamSpec:
    """The cleaned spec: title there, files the owner's and completed, destinations the owner's."""
    clean = StreamSpec(
        title=spec.title.strip(),
        description=spec.description.strip(),
        loop=spec.loop,
        order=spec.order,
        keep_files_after_stop=spec.keep_files_after_stop,
        file_ids=tuple(spec.file_ids),
        outputs=tuple(spec.outputs),
    )
    problems = {
        "title": _title_problem(clean.title),
        "description": _description_problem(clean.description),
        "order": None if clean.order in Order.values else _("Choose an order."),
        "files": _files_problem(clean.file_ids, owner),
        "destinations": _destinations_problem([out.destination_id for out in clean.outputs], owner),
    }
    _raise_if_any(problems)
    return clean


def _title_problem(title: str) -> str | None:
    if not title:
        return _("A title is required.")
    if len(title) > 255:
        return _("A title has at most 255 characters.")
    return _("A title has no control characters.") if _CONTROL.search(title) else None


def _description_problem(description: str) -> str | None:
    if len(description) > LONGEST_DESCRIPTION:
        return _("A description has at most %(most)d characters.") % {"most": LONGEST_DESCRIPTION}
    return _("Control characters are not allowed.") if _CONTROL.search(description) else None


def _files_problem(file_ids: tuple[int, ...], owner: User) -> str | None:
    if not file_ids:
        return _("Choose at least one video.")
    if len(file_ids) > MAX_ITEMS:
        return _("A playlist has at most %(most)d items.") % {"most": MAX_ITEMS}
    known = {file.pk: file for file in VideoFile.objects.of(owner).filter(pk__in=set(file_ids))}
    if set(file_ids) - set(known):
        return _("A chosen video is not in your library any more.")
    playable = set(VideoFile.objects.playable().filter(pk__in=known).values_list("pk", flat=True))
    waiting = [file.title for pk, file in known.items() if pk not in playable]
    return _("«%(title)s» is not ready yet.") % {"title": waiting[0]} if waiting else None


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
    places = {place_of(destination): destination for destination in wanted}
    rivals = [other for other in _pushed_now(stream) if place_of(other.destination) in places]
    rivals.sort(key=lambda other: other.stream.owner_id != stream.owner_id)
    if rivals:
        raise KeyInUse(_key_in_use(stream, rivals[0].stream, places[place_of(rivals[0].destination)]))


def _pushed_now(stream: Stream) -> QuerySet[StreamDestination]:
    others = Stream.objects.on_air().exclude(pk=stream.pk)
    return StreamDestination.objects.filter(enabled=True, stream__in=others).select_related("destination", "stream")


def _key_in_use(stream: Stream, rival: Stream, mine: Destination) -> str:
    """Names the other stream to its owner alone."""
    if rival.owner_id != stream.owner_id:
        return _("The key of «%(destination)s» is on air already, in another account.") % {"destination": mine.name}
    return _("«%(stream)s» is on air and already uses the key of «%(destination)s».") % {
        "stream": rival.title,
        "destination": mine.name,
    }


def place_of(destination: Destination) -> tuple[str, str]:
    """Where bytes go: equal for two destinations that would tear each other's connection down."""
    parts = urlsplit(destination.url)
    return f"{parts.hostname}{parts.path.rstrip('/')}", destination.key()


def _raise_if_any(problems: dict[str, str | None]) -> None:
    found = {name: words for name, words in problems.items() if words}
    if found:
        raise Invalid(found)
