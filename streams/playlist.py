"""Editing a playlist without JavaScript: the order a button of the form stands for, applied to the list. Pure."""

from __future__ import annotations

from typing import Final

MAX_ITEMS: Final = 1000


class BadOrderError(ValueError):
    """The button's value is not an order we know; a page of ours never sends one."""


def apply(ids: list[int], order: str) -> list[int]:
    """The list after one order: `add:FILE_ID`, or `remove:`, `up:`, `down:` with an index from 0.

    An index outside the list changes nothing: the page may be older than the list.
    """
    verb, _, number = order.partition(":")
    if not number.isdecimal():
        raise BadOrderError(order)
    match verb:
        case "add":
            return [*ids, int(number)][:MAX_ITEMS]
        case "remove":
            return [each for index, each in enumerate(ids) if index != int(number)]
        case "up":
            return _swapped(ids, int(number), int(number) - 1)
        case "down":
            return _swapped(ids, int(number), int(number) + 1)
    raise BadOrderError(order)


def _swapped(ids: list[int], one: int, other: int) -> list[int]:
    if not (min(one, other) >= 0 and max(one, other) < len(ids)):
        return ids
    changed = list(ids)
    changed[one], changed[other] = changed[other], changed[one]
    return changed
