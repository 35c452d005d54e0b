"""The charts of one run, as values: the curves, what they are called, and the same in words for who cannot see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import redis
import structlog
from django.utils.translation import gettext as _

from streams import samples
from streams.models import Run, StreamDestination

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """One destination's curves. Numbers in words are of the samples while it was live; None without one."""

    output_id: int
    name: str
    kbps: tuple[float | None, ...]
    lag_ms: tuple[float | None, ...]
    kbps_now: float | None
    kbps_mean: float | None
    kbps_least: float | None
    kbps_most: float | None
    lag_most_ms: float | None


@dataclass(frozen=True, slots=True)
class Chart:
    moments: tuple[int, ...]
    lines: tuple[Line, ...]


def of_run(run: Run | None) -> Chart:
    """Empty when there is nothing yet, or nothing any more. One query at most."""
    curves = _curves(run)
    if run is None or not curves.moments:
        return Chart((), ())
    names = output_names(run)
    lines = (_line(each, names.get(each.output_id) or _("a destination that has left")) for each in curves.series)
    return Chart(curves.moments, tuple(lines))


def output_names(run: Run) -> dict[int, str]:
    """What a run's destinations are called; of one that has left the stream, what it was called then."""
    remembered = (run.report or {}).get("memory", {}).get("outputs", {})
    left = {int(output): row["name"] for output, row in remembered.items() if row.get("name")}
    rows = StreamDestination.objects.filter(stream_id=run.stream_id)
    return left | dict(rows.values_list("pk", "destination__name"))


def _curves(run: Run | None) -> samples.Curves:
    try:
        return samples.curves(run.pk) if run else samples.Curves((), ())
    except redis.RedisError as error:
        log.warning("charts.unavailable", error=type(error).__name__)
        return samples.Curves((), ())


def _line(series: samples.Series, name: str) -> Line:
    live = [kbps for kbps, lag in zip(series.kbps, series.lag_ms, strict=True) if kbps is not None and lag is not None]
    lags = [lag for lag in series.lag_ms if lag is not None]
    return Line(
        output_id=series.output_id,
        name=name,
        kbps=series.kbps,
        lag_ms=series.lag_ms,
        kbps_now=next((kbps for kbps in reversed(series.kbps) if kbps is not None), None),
        kbps_mean=fmean(live) if live else None,
        kbps_least=_or_none(min, live),
        kbps_most=_or_none(max, live),
        lag_most_ms=_or_none(max, lags),
    )


def _or_none(pick: Any, numbers: Sequence[float]) -> float | None:
    return pick(numbers) if numbers else None
