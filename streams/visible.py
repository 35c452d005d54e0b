"""What people look at in an agent's report: whether open pages are to be told of a new one. Pure, over reports as they
are stored.

A page counts position and time on air by itself and is rendered anew every ten seconds. So figures that always move are
told only when they leap; else every page of every stream would be sent for at each heartbeat, looked at or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from streams.airing import LAG_SHOWN_MS

Report = Mapping[str, Any]

LEAP: Final = 0.25
"""Of the greater of two rates."""
AHEAD_S: Final = 3.0
"""A position that is so far from where a page has counted to."""


def stands(report: Report) -> str:
    """What is told at once when it changes, as text to compare: thousands are remembered."""
    states = [
        (each.get("id"), each.get("state"), each.get("reason"), (each.get("renewal") or {}).get("count"))
        for each in report.get("destinations", ())
    ]
    source = [report.get(name) for name in ("item_id", "slate", "paused", "input", "next_item_ids")]
    rest = [report.get(name) for name in ("epoch", "phase", "skipped", "restarts")]
    return repr((source, rest, states))


def hurry(before: Report | None, after: Report, passed_s: float) -> bool | None:
    """Whether pages should hurry, or may wait their second; None: they show it already. `before` may have been written
    by an older version."""
    if before is None or stands(before) != stands(after):
        return True
    return False if _leaps(before, after, passed_s) else None


def _leaps(before: Report, after: Report, passed_s: float) -> bool:
    moved_s = _figure(after, "position_s") - _figure(before, "position_s")
    if _is_playing(after) and abs(moved_s - passed_s) > AHEAD_S:
        return True
    pairs = zip(before.get("destinations", ()), after.get("destinations", ()), strict=True)
    return _rate_leaps(before, after) or any(_rate_leaps(*pair) or _lag_differs(*pair) for pair in pairs)


def _is_playing(report: Report) -> bool:
    is_on_air = report.get("phase") == "on_air" and report.get("item_id") is not None
    return is_on_air and report.get("slate") is None and not report.get("paused")


def _rate_leaps(before: Report, after: Report) -> bool:
    was, now = _figure(before, "bitrate_kbps"), _figure(after, "bitrate_kbps")
    return abs(now - was) > LEAP * max(now, was)


def _lag_differs(before: Report, after: Report) -> bool:
    return (_figure(before, "lag_ms") >= LAG_SHOWN_MS) != (_figure(after, "lag_ms") >= LAG_SHOWN_MS)


def _figure(report: Report, name: str) -> float:
    return float(report.get(name, 0.0))
