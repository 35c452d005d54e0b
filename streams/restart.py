"""Whether and when a run that was interrupted is started again (STR-13, EDGE-7). Pure.

The ladder: the playout reconnects a destination, the agent replaces a playout (`agent.playouts`), and what is left
after that comes here and is put on another VPS. A VPS that is gone needs no pause: the silence was one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PAUSES_S: Final = (30.0, 60.0, 120.0)
"""Before the first, second, third and every further try."""
JITTER: Final = 0.1
"""Up to so much of a pause is added, so that a fleet does not come back in one moment."""
STABLE_S: Final = 600.0
"""On air for so long: what comes after is a new failure, not the same one again."""


class Cause(StrEnum):
    LOST = "lost"
    """Its VPS is silent, or its agent let go of it."""
    GAVE_UP = "gave_up"
    """Its agent tried and could not."""
    NOT_PLACED = "not_placed"
    """No VPS is free, or nobody can be told."""
    DEAF = "deaf"
    """The VPS that was chosen takes no commands: it may have gone this moment. Another one may well."""
    STUCK = "stuck"
    """Its VPS is heard of, but makes no progress with it."""
    HOPELESS = "hopeless"
    """It would end the same way anywhere: somebody has to change something first."""


WHOEVER_STARTED_IS_TOLD: Final = frozenset({Cause.NOT_PLACED, Cause.DEAF, Cause.STUCK})
NEED_NO_PAUSE: Final = frozenset({Cause.LOST, Cause.DEAF})
"""Of a run that was never on air: whoever pressed Start sees why, and nothing is tried behind their back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a run has been through. `live_s`: on air without an interruption until now, None if it was not."""

    tries: int
    most: int
    was_on_air: bool
    live_s: float | None


@dataclass(frozen=True, slots=True)
class Again:
    tries: int
    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    tries: int
    """0: it was not worth one."""


def after(cause: Cause, past: Past, jitter: float = 0.0) -> Again | GiveUp:
    """`jitter` 0..1."""
    tries = 0 if past.live_s is not None and past.live_s >= STABLE_S else past.tries
    is_first_start = not past.was_on_air and tries == 0
    if cause is Cause.HOPELESS or (is_first_start and cause in WHOEVER_STARTED_IS_TOLD):
        return GiveUp(0)
    if tries >= past.most:
        return GiveUp(tries)
    pause = 0.0 if cause in NEED_NO_PAUSE else PAUSES_S[min(tries, len(PAUSES_S) - 1)]
    return Again(tries + 1, pause * (1 + JITTER * jitter))
