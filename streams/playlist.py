"""Editing a playlist without JavaScript: the order a button of the form stands for, applied to the list. Pure."""

from __future__ import annotations

from typing import Final

from streams.spec import ItemSpec

MAX_ITEMS: Final = 1000


class BadOrderError(ValueError):
    """The button's value is not an order we know; a page of ours never sends one."""


def apply(items: list[ItemSpec], order: str) -> list[ItemSpec]:
    """The list after one order: `add:ITEM` (see `ItemSpec`), or `remove:`, `up:`, `down:` with an index from 0.

    An index outside the list changes nothing: the page may be older than the list.
    """
    verb, _, value = order.partition(":")
    if verb == "add":
        return _added(items, value)
    if not value.isdecimal():
        raise BadOrderError(order)
    index = int(value)
    match verb:
        case "remove":
            return [each for place, each in enumerate(items) if place != index]
        case "up":
            return _swapped(items, index, index - 1)
        case "down":
            return _swapped(items, index, index + 1)
    raise BadOrderError(order)


def _added(items: list[ItemSpec], value: str) -> list[ItemSpec]:
    item = ItemSpec.parse(value)
    if item is None:
        raise BadOrderError(value)
    return [*items, item][:MAX_ITEMS]


def _swapped(items: list[ItemSpec], one: int, other: int) -> list[ItemSpec]:
    if not (min(one, other) >= 0 and max(one, other) < len(items)):
        return items
    changed = list(items)
    changed[one], changed[other] = changed[other], changed[one]
    return changed
