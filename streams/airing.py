"""What an agent's last report says of what is on air, as values a page can show. Pure over rows and the report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.utils.translation import gettext as _

from kit.logs import mask
from streams.models import DestinationState, Platform, PlaylistItem, Status, StreamDestination, Via

Report = dict[str, Any]

LAG_SHOWN_MS: Final = 300
"""Less of the stream waits at every healthy server, now and then."""
NEXT_TITLES: Final = 3


@dataclass(frozen=True, slots=True)
class NowPlaying:
    """`index` counts from 0 in the playlist as it is now; None for an item that has left it."""

    title: str
    position_s: float
    duration_s: float | None
    index: int | None
    item_id: int


@dataclass(frozen=True, slots=True)
class InputView:
    """A live input whose turn has come: on, away or returning."""

    title: str
    state: str
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class RenewalView:
    """When a destination was last connected anew, how long nothing went there then, and between when and when that is
    due again."""

    at: datetime | None
    off_s: float
    asked: bool
    next_from: datetime | None
    next_by: datetime | None


@dataclass(frozen=True, slots=True)
class DestinationView:
    output_id: int
    destination_id: int
    name: str
    platform: Platform
    state: DestinationState
    since: datetime | None
    reason: str
    bitrate_kbps: float
    reconnects: int
    lag_ms: int
    """0 while it is not worth a word."""
    via: str
    """How it is pushed, in words; empty for our own client."""
    enabled: bool
    renewal: RenewalView | None

    @property
    def is_waiting(self) -> bool:
        """For its next try."""
        return self.state in (DestinationState.RECONNECTING, DestinationState.REFUSED, DestinationState.FAILED)


def now_playing(items: list[PlaylistItem], report: Report, since_s: float = 0.0) -> NowPlaying | None:
    """`since_s`: how long ago that was said, for what has been playing on meanwhile; 0 to take it as it was said."""
    if report.get("phase") != "on_air" or report.get("item_id") is None:
        return None
    index = next((at for at, item in enumerate(items) if item.pk == report["item_id"]), None)
    title = _title_of(items, report["item_id"])
    return NowPlaying(title, position_s(report, since_s), report.get("duration_s"), index, report["item_id"])


def position_s(report: Report, since_s: float) -> float:
    """Where the item is, so long after that was said: never behind its end."""
    said: float = report.get("position_s", 0.0)
    if report.get("item_id") is None or report.get("paused") or report.get("slate") is not None:
        return said
    return min(said + since_s, max(said, report.get("duration_s") or math.inf))


def _title_of(items: list[PlaylistItem], item_id: int) -> str:
    found = next((item.title for item in items if item.pk == item_id), None)
    return _("an item that has left the playlist") if found is None else found


def slate(report: Report) -> str | None:
    said = report.get("slate") if report.get("phase") == "on_air" else None
    return None if said is None else mask(said)


def live_input(items: list[PlaylistItem], report: Report) -> InputView | None:
    said = report.get("input")
    if not said:
        return None
    title = _title_of(items, said["item_id"])
    return InputView(title, said["state"], moment(said.get("since")), mask(said.get("reason") or ""))


def next_titles(items: list[PlaylistItem], report: Report) -> tuple[str, ...]:
    titles = {item.pk: item.title for item in items}
    found = [titles[item_id] for item_id in report.get("next_item_ids", ()) if item_id in titles]
    return tuple(found[:NEXT_TITLES])


def skipped(items: list[PlaylistItem], report: Report) -> tuple[str, ...]:
    titles = {item.pk: item.title for item in items}
    return tuple(
        f"{titles[row['item_id']]}: {mask(row['reason'])}"
        for row in report.get("skipped", ())
        if row["item_id"] in titles
    )


def destination(output: StreamDestination, state: Status, report: Report) -> DestinationView:
    word: dict[str, Any] = next((row for row in report.get("destinations", ()) if row["id"] == output.pk), {})
    shown = _destination_state(output, state, word)
    is_told = shown not in (DestinationState.DISABLED, DestinationState.IDLE)  # else its agent's words are of before
    return DestinationView(
        output_id=output.pk,
        destination_id=output.destination_id,
        name=output.destination.name,
        platform=Platform(output.destination.platform),
        state=shown,
        since=moment(word.get("since")) if is_told else None,
        reason=mask(word.get("reason") or "") if is_told else "",
        bitrate_kbps=word.get("bitrate_kbps", 0.0) if shown is DestinationState.LIVE else 0.0,
        reconnects=word.get("reconnects", 0),
        lag_ms=_lag_ms(word) if shown is DestinationState.LIVE else 0,
        via="" if output.destination.via == Via.NATIVE else output.destination.get_via_display(),
        enabled=output.enabled,
        renewal=renewal(word.get("renewal")) if is_told else None,
    )


def renewal(said: Mapping[str, Any] | None) -> RenewalView | None:
    """None while there is nothing to tell."""
    if not said or not (said.get("at") or said.get("next_by")):
        return None
    moments = (moment(said.get(name)) for name in ("at", "next_from", "next_by"))
    at, first, last = moments
    return RenewalView(at, said.get("off_s", 0.0), said.get("asked", False), first, last)


def _lag_ms(word: dict[str, Any]) -> int:
    lag_ms: int = word.get("lag_ms", 0)
    return lag_ms if lag_ms >= LAG_SHOWN_MS else 0


def moment(unix: float | None) -> datetime | None:
    """An agent's clock reading; None for one no calendar has."""
    try:
        return datetime.fromtimestamp(unix, UTC) if unix else None
    except (OverflowError, ValueError, OSError):
        return None


def _destination_state(output: StreamDestination, state: Status, word: dict[str, Any]) -> DestinationState:
    if not output.enabled:
        return DestinationState.DISABLED
    if state.is_resting or state is Status.STOPPING:
        return DestinationState.IDLE
    known = word.get("state")
    return DestinationState(known) if known in DestinationState.values else DestinationState.CONNECTING
