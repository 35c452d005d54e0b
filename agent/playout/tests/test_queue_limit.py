"""How much may wait for a destination: five seconds of media, within bounds, and never too little at the start."""

import random
from typing import Any

from agent.playout.meter import QUEUE_BYTES, QUEUE_S
from agent.playout.plan import parse_plan
from agent.playout.playout import Playout

LEAST, MOST = QUEUE_BYTES


def playout() -> Playout:
    plan: dict[str, Any] = {"stream_id": 1, "run_id": "r", "epoch": 1, "loop": True, "order": "sequential"}
    return Playout(parse_plan(plan | {"items": [], "destinations": []}), random.Random())


def at_rate(mbit: float) -> int:
    """The limit after a second at that rate."""
    plays = playout()
    plays._meter.note(100.0, 0)
    plays._bytes = int(mbit * 1_000_000 / 8)
    return plays._queue_limit(101.0)


def test_before_the_rate_is_known_it_is_the_most() -> None:
    """The burst at the start of a 13 Mbit/s file is over a megabyte: held to the least it lost its first frames."""
    assert playout()._queue_limit(100.0) == MOST


def test_it_follows_the_rate() -> None:
    assert at_rate(8) == 8_000_000 / 8 * QUEUE_S


def test_it_keeps_within_its_bounds() -> None:
    assert at_rate(0.1) == LEAST
    assert at_rate(80) == MOST
