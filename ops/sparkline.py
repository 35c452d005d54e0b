"""A curve so small that it stands in a row of a table. Pure: readings in, the points of SVG lines out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Final

WIDTH: Final = 96
HEIGHT: Final = 24
_INSET: Final = 1.5
"""So that a line at 0 or 100 % is not cut off at half its width."""


@dataclass(frozen=True, slots=True)
class Spark:
    """`lines`: one for each stretch without a gap, as `points` of an SVG polyline. Percent."""

    lines: tuple[str, ...]
    mean: float
    most: float


def spark(percents: Sequence[float | None]) -> Spark | None:
    """None without any reading."""
    known = [value for value in percents if value is not None]
    if not known:
        return None
    return Spark(tuple(_lines(percents)), fmean(known), max(known))


def _lines(percents: Sequence[float | None]) -> Iterator[str]:
    step = WIDTH / max(1, len(percents) - 1)
    for is_known, stretch in groupby(enumerate(percents), lambda each: each[1] is not None):
        if is_known:
            points = [(index * step, _height(value or 0.0)) for index, value in stretch]
            if len(points) == 1:  # a line of one point is not drawn
                points.append((points[0][0] + 1, points[0][1]))
            yield " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _height(percent: float) -> float:
    return HEIGHT - _INSET - min(100.0, max(0.0, percent)) / 100 * (HEIGHT - 2 * _INSET)
