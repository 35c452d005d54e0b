"""The part of `decide` that looks after slates: which are here, which failed and are tried again. Pure."""

from __future__ import annotations

from typing import Final

from agent import shelf
from agent.actions import AppendLog
from agent.events import SlateFailed, SlateReady
from agent.state import Run, Slate
from agent.turn import Turn
from agent.validate import bad_slate

RETRY_AFTER: Final = 120.0


def ready(turn: Turn, event: SlateReady) -> None:
    turn.slates[event.key] = Slate(status="ready", path=event.path)
    for run in _users(turn, event.key):
        if event.log:
            turn.do(AppendLog(run.run_id, event.log))


def failed(turn: Turn, event: SlateFailed) -> None:
    again = None if event.permanent else turn.now + RETRY_AFTER
    turn.slates[event.key] = Slate(status="failed", retry_at=again)
    text = f"a slate cannot be had, another takes its place: {event.reason}"
    users = _users(turn, event.key)
    if not users:
        turn.note("warning", text, will_retry=again is not None)
    for run in users:
        turn.note("warning", text, run, will_retry=again is not None)
        turn.do(AppendLog(run.run_id, (*event.log, f"[SLATE] {text}")))


def _users(turn: Turn, key: str) -> list[Run]:
    return [run for run in turn.runs.values() if key in shelf.keys_of(run.order, turn.media)]


def retry_due(turn: Turn) -> None:
    for key, one in list(turn.slates.items()):
        if one.status == "failed" and one.retry_at is not None and turn.now >= one.retry_at:
            del turn.slates[key]


def obtain(turn: Turn, run: Run) -> None:
    """The command that came may bring a fresh address for the owner's slate: what failed is tried again."""
    told = run.config.slate
    reason = told and bad_slate(told)
    if reason:
        turn.note("warning", f"the stream's own slate is not used: {reason}", run)
    own = shelf.own_of(run.order)
    keys = [shelf.own_key(own, each) for each in shelf.profiles(run.order, turn.media)] if own else []
    for key in keys:
        if key in turn.slates and turn.slates[key].status == "failed":
            del turn.slates[key]
