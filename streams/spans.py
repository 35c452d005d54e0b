"""Stretches of time, and what is left of them. Pure; moments are unix seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Span(NamedTuple):
    begin: float
    end: float


def merged(spans: Iterable[Span]) -> list[Span]:
    """Without overlaps and empty ones, in order."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begin <= found[-1].end:
            found[-1] = Span(found[-1].begin, max(found[-1].end, span.end))
        elif span.end > span.begin:
            found.append(span)
    return found


def minus(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    left = list(spans)
    for other in others:
        left = [part for span in left for part in _cut(span, other)]
    return left


def clipped(spans: Iterable[Span], within: Span) -> list[Span]:
    cut = (Span(max(span.begin, within.begin), min(span.end, within.end)) for span in spans)
    return [span for span in cut if span.end > span.begin]


def total(spans: Iterable[Span]) -> float:
    return round(sum(span.end - span.begin for span in spans), 1)


def _cut(span: Span, other: Span) -> Iterator[Span]:
    if other.end <= span.begin or other.begin >= span.end:
        yield span
        return
    if span.begin < other.begin:
        yield Span(span.begin, other.begin)
    if other.end < span.end:
        yield Span(other.end, span.end)
