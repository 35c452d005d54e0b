"""Where in its playlist a stream goes on, from what its agent said last. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SHORTEST_S: Final = 5.0
"""Less far into an item it begins at its beginning."""
NEARLY_OVER_S: Final = 3.0
"""So near to its end the next one follows: it would be over before anybody has tuned in."""


@dataclass(frozen=True, slots=True)
class Place:
    """`item_id` None: the beginning of the list."""

    item_id: int | None
    position_s: float = 0.0


BEGINNING: Final = Place(None)


def place(report: Mapping[str, Any], elapsed_s: float = 0.0) -> Place | None:
    """None: nothing of the list was on air. A live input, which has no length, has no position either."""
    item_id, length_s = report.get("item_id"), report.get("duration_s")
    if item_id is None:
        return None
    if length_s is None or report.get("paused") or report.get("slate") is not None:
        elapsed_s = 0.0
    position_s = max(0.0, float(report.get("position_s", 0.0))) + elapsed_s
    if length_s is None or position_s < SHORTEST_S:
        return Place(item_id)
    if position_s > length_s - NEARLY_OVER_S:
        following = report.get("next_item_ids") or [item_id]
        return Place(following[0])
    return Place(item_id, round(position_s, 1))


def left_s(report: Mapping[str, Any], elapsed_s: float) -> float | None:
    """Until the item on air ends; None: nobody knows."""
    if report.get("item_id") is None or report.get("slate") is not None or report.get("duration_s") is None:
        return None
    left: float = report["duration_s"] - report.get("position_s", 0.0) - elapsed_s
    return max(0.0, left)


def as_columns(where: Place) -> dict[str, Any]:
    """Of `Run`."""
    return {"first_item_id": where.item_id, "first_position_s": where.position_s}
