"""The part of `decide` that looks after files: which are wanted, which are here, which failed. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent.actions import Abandon, AppendLog, Delete, Obtain
from agent.events import (
    MediaCached,
    MediaComplete,
    MediaEvicted,
    MediaFailed,
    MediaProgress,
    MediaReady,
)
from agent.state import Media, Run
from agent.turn import Turn

RETRY_AFTER: Final = 120.0


def obtain(turn: Turn, run: Run) -> None:
    """Everything the run plays that is not here or on its way, the first to play first.

    A file that failed is tried again: the command that came may bring a fresh address for it.
    """
    waits = not any(key in turn.media and turn.media[key].playable for key in run.files)
    for key, item in run.files.items():
        if item.item_id in run.order.bad_items:
            continue
        one = turn.media.get(key)
        if one is None or one.status == "failed":
            turn.media[key] = Media(total=item.size)
            turn.do(Obtain(key, item, urgent=waits))
            waits = False


def let_go(turn: Turn, keys: set[str], *, keep: bool) -> None:
    """What no held run plays any more: work on it stops, and it goes unless it is to be kept."""
    for key in sorted(keys):
        one = turn.media.get(key)
        if one is None or turn.holders(key):
            continue
        if one.status == "complete":
            if keep:
                continue
            turn.do(Delete(key))
        else:
            turn.do(Abandon(key))
        del turn.media[key]


def retry_due(turn: Turn) -> None:
    for key, one in list(turn.media.items()):
        if one.status != "failed" or one.retry_at is None or turn.now < one.retry_at:
            continue
        item = next((run.files[key] for run in turn.holders(key)), None)
        if item is not None:
            turn.media[key] = Media(total=item.size)
            turn.do(Obtain(key, item, urgent=False))


def cached(turn: Turn, event: MediaCached) -> None:
    turn.media[event.key] = _whole(Media(), event)


def _whole(one: Media, event: MediaCached | MediaComplete) -> Media:
    return replace(one, status="complete", path=event.path, duration_s=event.duration_s, profile=event.profile)


def evicted(turn: Turn, event: MediaEvicted) -> None:
    turn.media.pop(event.key, None)
    turn.slates.pop(event.key, None)


def progress(turn: Turn, event: MediaProgress) -> None:
    one = turn.media.get(event.key)
    if one is not None and one.status == "fetching":
        here = event.done >= event.total
        status = "preparing" if here else "fetching"
        turn.media[event.key] = replace(one, status=status, done=event.done, total=event.total)


def ready(turn: Turn, event: MediaReady) -> None:
    one = turn.media.get(event.key)
    if one is not None:
        turn.media[event.key] = replace(one, status="ready", path=event.path, profile=event.profile)


def complete(turn: Turn, event: MediaComplete) -> None:
    one = turn.media.get(event.key)
    if one is None:
        return
    turn.media[event.key] = _whole(replace(one, done=one.total), event)
    _log(turn, event.key, event.log)


def failed(turn: Turn, event: MediaFailed) -> None:
    one = turn.media.get(event.key)
    if one is None:
        return
    again = None if event.permanent else turn.now + RETRY_AFTER
    turn.media[event.key] = replace(one, status="failed", path="", reason=event.reason, retry_at=again)
    _log(turn, event.key, event.log)
    for run in turn.holders(event.key):
        turn.note("warning", f"a file cannot be played: {event.reason}", run, will_retry=again is not None)


def _log(turn: Turn, key: str, lines: tuple[str, ...]) -> None:
    if lines:
        turn.do(*(AppendLog(run.run_id, lines) for run in turn.holders(key)))
