"""Whether everything is as it should be, by the kernel's and the receivers' word against the database's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import psycopg

from bench.chaos_house import AGENTS, CONTROL, ERRAND, House, Row

RESTING: Final = ("INACTIVE", "ERROR")


def complaints(house: House, since: float) -> list[str]:
    """What is not so (yet). `since` in unix seconds: what was said before proves nothing."""
    try:
        rows = house.rows()
        found = [*_processes(house), *_heard(house, since), *_slots(house)]
    except psycopg.Error as error:
        return [f"the database: {type(error).__name__}"]
    for key, row in rows.items():
        found += [f"{key}: {words}" for words in _stream(house, key, row, since)]
    return found


def _processes(house: House) -> Iterator[str]:
    for name in (*CONTROL, *AGENTS):
        process = house.product.supervisor.children[name].process
        if name not in house.gone and (process is None or process.poll() is not None):
            yield f"{name} is not there"
    if not house.product.is_up():
        yield "the pages do not answer"


def _heard(house: House, since: float) -> Iterator[str]:
    for agent, at in house.heard().items():
        if agent not in house.gone and at < since:
            yield f"{agent} was not heard"


def _slots(house: House) -> Iterator[str]:
    """Also: each run once, and no playout that nobody holds."""
    held = house.slots()
    for agent in AGENTS:
        playouts = house.playouts(agent)
        if len(playouts) != held[agent] or any(len(pids) != 1 for pids in playouts.values()):
            yield f"{agent}: {held[agent]} slots, playouts {sorted(map(len, playouts.values()))}"


def _stream(house: House, key: str, row: Row, since: float) -> Iterator[str]:
    wanted = house.errand_wanted if key == ERRAND else True
    pushing = [house.watch.pushing(place) for place in house.places([key])]
    if not wanted:
        if row.status not in RESTING or any(pushing):
            yield f"to be off air, is {row.status}, publishers {pushing}"
        return
    if row.status != "STREAMING" or any(each != 1 for each in pushing):
        yield f"to be on air, is {row.status}, publishers {pushing}"
    elif row.agent is None or str(row.run_id) not in house.playouts(row.agent):
        yield f"said to be on {row.agent}, which does not play it"
    elif (row.reported_at or 0) < since:
        yield "no report since"
