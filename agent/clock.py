"""The machine's clock was set. What the agent remembers by that clock is set with it, so that a wait stays as long as
it was meant, and what is told of the past agrees with the clock that is told beside it. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from agent.events import ClockSet
from agent.turn import Turn

_OF_RUNS: Final = ("begun_at", "spawned_at", "on_air_since", "retry_at", "stopping_since")


def was_set(turn: Turn, event: ClockSet) -> None:
    turn.note("warning", f"the clock was set by {event.by_s:+.0f} s")
    for run in list(turn.runs.values()):
        turn.put(replace(run, **_moved(run, event.by_s, *_OF_RUNS)))
    turn.media = {key: replace(one, **_moved(one, event.by_s, "retry_at")) for key, one in turn.media.items()}
    turn.slates = {key: replace(one, **_moved(one, event.by_s, "retry_at")) for key, one in turn.slates.items()}
    if turn.leaving_since is not None:
        turn.leaving_since += event.by_s


def _moved(thing: object, by_s: float, *names: str) -> dict[str, Any]:
    known = {name: getattr(thing, name) for name in names}
    return {name: at + by_s for name, at in known.items() if at is not None}
