"""Which slates are wanted for which runs, and which is shown for what. Pure.

A slate is of one profile. The owner's own is wanted where there is one, FFmpeg's where there is none or it cannot
be had. The one of the default profile is always there: a run's first slate must exist at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from agent import profile
from agent.profile import Profile
from agent.protocol import SlateFile
from agent.state import Media, Order, Slate
from agent.validate import bad_slate, cache_key

LOOK: Final = 1
"""Goes up when FFmpeg's slate is to look another way: those in the caches are of an older look then."""
MADE: Final = "slate-"
FETCHED: Final = "slatefile-"

Library = Mapping[str, Media]
Shelf = Mapping[str, Slate]


@dataclass(frozen=True, slots=True)
class Wanted:
    profile: Profile
    file: SlateFile | None


def made_key(of: Profile) -> str:
    return f"{MADE}{LOOK}-{of.name}"


def own_key(file: SlateFile, of: Profile) -> str:
    return f"{MADE}{file.kind}-{cache_key(file)}-{of.name}"


def source_key(file: SlateFile) -> str:
    """Of the owner's file as it was fetched."""
    return f"{FETCHED}{cache_key(file)}"


ALWAYS: Final = frozenset({made_key(profile.DEFAULT)})


def own_of(order: Order) -> SlateFile | None:
    slate = order.config.slate
    return slate if slate is not None and bad_slate(slate) is None else None


def profiles(order: Order, media: Library) -> list[Profile]:
    """Each once, in the order they will be needed in."""
    known = [media[key].profile for key in order.files if key in media]
    return list(dict.fromkeys([*filter(None, known), profile.DEFAULT]))


def held(orders: Iterable[Order], media: Library) -> set[str]:
    """All keys these runs may show, there or not: what lies under them is not evicted."""
    keys = set(ALWAYS)
    for order in orders:
        keys |= set(keys_of(order, media))
        own = own_of(order)
        keys |= {source_key(own)} if own else set()
    return keys


def keys_of(order: Order, media: Library) -> Iterator[str]:
    own = own_of(order)
    for each in profiles(order, media):
        if own is not None:
            yield own_key(own, each)
        yield made_key(each)


def wanted(order: Order, media: Library, shelf: Shelf) -> dict[str, Wanted]:
    own = own_of(order)
    found: dict[str, Wanted] = {}
    for each in profiles(order, media):
        key = own_key(own, each) if own else ""
        if own is not None and (key not in shelf or shelf[key].status != "failed"):
            found[key] = Wanted(each, own)
        else:
            found[made_key(each)] = Wanted(each, None)
    return found


def path_for(order: Order, of: Profile | None, shelf: Shelf) -> str | None:
    """Of the best slate of this profile that is there."""
    if of is None:
        return None
    own = own_of(order)
    for key in ([own_key(own, of)] if own else []) + [made_key(of)]:
        if key in shelf and shelf[key].status == "ready":
            return shelf[key].path
    return None
