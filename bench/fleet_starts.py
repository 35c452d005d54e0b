"""Many starts in one second, for `bench.fleet --starts`: over HTTP as people would, with the real worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg
import requests

from bench.fleet_agents import Fleet

LIMIT_S: Final = 120.0
TOKEN: Final = "b" * 32
"""Of the form and of the cookie: they must be alike, no more."""
HELD: Final = """SELECT v.id, v.max_streams, count(r.id) FROM fleet_vps v LEFT JOIN streams_run r
    ON r.vps_id = v.id AND r.slot_released_at IS NULL GROUP BY v.id"""
STATES: Final = "SELECT status, failure_reason <> '', count(*) FROM streams_stream GROUP BY 1, 2"


async def starts(fleet: Fleet, facts: Mapping[str, Any], port: int, database: str) -> dict[str, Any]:
    agents = asyncio.create_task(fleet.run())
    try:
        await asyncio.sleep(6)  # every agent has been heard of
        return await asyncio.to_thread(_ask_and_watch, list(facts["resting"]), port, database)
    finally:
        agents.cancel()


def _ask_and_watch(rows: list[dict[str, Any]], port: int, database: str) -> dict[str, Any]:
    gate = threading.Event()
    with ThreadPoolExecutor(len(rows)) as people, psycopg.connect(database, autocommit=True) as connection:
        asked = [people.submit(_ask, gate, row, n / len(rows), port) for n, row in enumerate(rows)]
        began = time.monotonic()
        gate.set()
        overfilled, states, settled_s = _watch(connection, len(rows), began)
        answers = Counter(future.result() for future in asked)
    return {
        "starts": len(rows),
        "settled_s": settled_s,
        "states": {f"{status}{' with a reason' if why else ''}": number for (status, why), number in states.items()},
        "overfilled": overfilled,
        "answers": dict(answers),
    }


def _ask(gate: threading.Event, row: dict[str, Any], after_s: float, port: int) -> int:
    gate.wait()
    time.sleep(after_s)
    cookies = {"sessionid": row["session"], "csrftoken": TOKEN}
    url = f"http://127.0.0.1:{port}/streams/{row['stream']}/start"
    form = {"csrfmiddlewaretoken": TOKEN}
    return requests.post(url, form, cookies=cookies, timeout=LIMIT_S, allow_redirects=False).status_code


def _watch(
    connection: psycopg.Connection[Any], wanted: int, began: float
) -> tuple[int, dict[tuple[str, bool], int], float]:
    """Until all are on air, or have failed with a reason: most streams too many on a VPS, how they stand, seconds."""
    overfilled = 0
    while True:
        overfilled = max([overfilled, *(held - most for _vps, most, held in connection.execute(HELD))])
        states = {(status, why): number for status, why, number in connection.execute(STATES)}
        settled = states.get(("STREAMING", False), 0) + states.get(("ERROR", True), 0)
        passed = time.monotonic() - began
        if settled == wanted or passed > LIMIT_S:
            return overfilled, states, round(passed, 1)
        time.sleep(0.1)
