"""What a playout says, as values: its STATUS, and its answers to orders."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from agent.protocol import DestinationState, InputState, Renewal
from agent.state import Playing

LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What a playout answered to an order, or why it did not; `error` is for people."""

    ok: bool
    error: str = ""
    item_id: int | None = None


UNANSWERED: Final = Answer(False, "the playout did not answer")


def answer_from(raw: bytes) -> Answer:
    """Raises ValueError when it is not one."""
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("not an object")
    item_id = body.get("item_id")
    known = item_id if isinstance(item_id, int) and not isinstance(item_id, bool) else None
    if body.get("ok") is True:
        return Answer(True, item_id=known)
    return Answer(False, str(body.get("error") or "the playout refused it")[:LONGEST_REASON])


def playing_from(status: dict[str, Any]) -> Playing:
    """Raises KeyError, TypeError or ValueError when it is not a STATUS."""
    return Playing(
        phase=str(status["phase"]),
        item_id=status.get("item_id"),
        file_id=status.get("file_id"),
        position_s=round(float(status.get("position_s") or 0.0), 3),
        duration_s=status.get("duration_s"),
        items_played=int(status.get("items_played") or 0),
        next_item_ids=tuple(int(each) for each in status.get("next_item_ids") or ()),
        skipped=tuple((int(each["file_id"]), str(each["reason"])) for each in status.get("skipped") or ()),
        bitrate_kbps=float(status.get("bitrate_kbps") or 0.0),
        slate=_text_or_none(status.get("slate")),
        paused=bool(status.get("paused")),
        input=_input(status.get("input")),
        restart_from=_float_or_none((status.get("restart") or {}).get("next_from")),
        restart_by=_float_or_none((status.get("restart") or {}).get("next_by")),
        destinations=tuple(_destination(each) for each in status.get("destinations") or ()),
    )


def _input(body: dict[str, Any] | None) -> InputState | None:
    if body is None:
        return None
    return InputState(
        item_id=int(body["item_id"]),
        state=str(body["state"]),
        since=float(body["since"]),
        reason=_text_or_none(body.get("reason")),
    )


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _destination(body: dict[str, Any]) -> DestinationState:
    return DestinationState(
        id=int(body["id"]),
        state=str(body["state"]),
        since=float(body["since"]),
        reason=_text_or_none(body.get("reason")),
        bytes_sent=int(body.get("bytes_sent") or 0),
        bitrate_kbps=float(body.get("bitrate_kbps") or 0.0),
        reconnects=int(body.get("reconnects") or 0),
        drops=int(body.get("drops") or 0),
        lag_ms=int(body.get("lag_ms") or 0),
        renewal=_renewal(body.get("renewal")),
    )


def _renewal(body: dict[str, Any] | None) -> Renewal | None:
    """None: of a playout that an earlier version began."""
    if body is None:
        return None
    return Renewal(
        count=int(body["count"]),
        at=_float_or_none(body["at"]),
        off_s=float(body["off_s"]),
        asked=bool(body["asked"]),
        next_from=_float_or_none(body["next_from"]),
        next_by=_float_or_none(body["next_by"]),
    )


def _float_or_none(value: Any) -> float | None:
    return None if value is None else float(value)
