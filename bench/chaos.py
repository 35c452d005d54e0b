"""Break one thing after another, and see how long it is felt (EDGE-13).

    .venv/bin/python -m bench.chaos [--short] [--only FAULT …] [--rounds 3] [--seed N] [--budget S] [--room 1]

The whole product for real: PostgreSQL, Redis, web, listener, worker, media, scheduler, two agents with their playouts,
nginx-rtmp and a second RTMP server that takes everybody. Each round breaks everything on the list once, in an order,
at moments and at places that the seed decides; `--short` takes under five minutes. Seconds off air are measured at the
receivers, from bytes of media. After each fault it waits until all of this is so: every stream's status is resting or
it really arrives, from one publisher at each receiver; the server the database names plays it and no other; slots are
the runs that are held; every agent was heard and every report is younger than the mending; and the errand that a user
sent during the fault is done.

The last line is JSON; the exit code 1 when a limit was not held. `--room 4` is for busy machines: limits are held with
that much room, and a second off air is forgiven for each step above 1. The disk needs root (a tmpfs), the clock a C
compiler; what cannot be done is named.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.chaos_check import complaints
from bench.chaos_faults import FAULTS, Fault, small_disk
from bench.chaos_house import AGENTS, ERRAND, House
from lab.processes import end_on_signals

STREAMS: Final = 4
HEARTBEAT_S: Final = 5.0
"""So long two publishers may push one key (DESIGN: a heartbeat)."""
GIVE_UP_S: Final = 150.0
"""Not converged then: stuck."""
LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Options:
    short: bool = False
    only: tuple[str, ...] = ()
    rounds: int = 3
    seed: int = 1
    budget_s: float = float("inf")
    room: float = 1.0
    keep: bool = False


@dataclass(slots=True)
class Outcome:
    """One fault once. Seconds; `off_air` of each place it is about."""

    fault: Fault
    off_air: list[float]
    silence: float
    others_off_air: float
    doubled: float
    converged: float | None
    stuck: list[str] = field(default_factory=list)

    def failures(self, room: float) -> list[str]:
        found = [f"{self.fault.name}: stuck: {each}" for each in self.stuck]
        worst = max(self.off_air, default=0.0)
        if worst > self.fault.off_air_s * room + (room - 1):
            found.append(f"{self.fault.name}: {worst:.1f} s off air")
        if self.others_off_air > room - 1:
            found.append(f"{self.fault.name}: another stream was {self.others_off_air:.1f} s off air")
        if self.converged is not None and self.converged > self.fault.converge_s * room:
            found.append(f"{self.fault.name}: converged after {self.converged:.1f} s")
        if self.double_push:
            found.append(f"{self.fault.name}: two pushed one key for {self.doubled:.1f} s")
        return found

    @property
    def double_push(self) -> bool:
        return self.doubled > HEARTBEAT_S and not self.fault.silences


class Chaos:
    def __init__(self, house: House, options: Options) -> None:
        self._house = house
        self._options = options
        self._rng = random.Random(options.seed)
        self.outcomes: list[Outcome] = []

    def run(self, faults: list[Fault]) -> None:
        began = time.monotonic()
        self._converge(time.time(), GIVE_UP_S)
        for number in range(self._options.rounds):
            for fault in self._rng.sample(faults, len(faults)):
                if time.monotonic() - began > self._options.budget_s:
                    return
                if number == 0 or not fault.once:
                    self._rest()
                    self.outcomes.append(self._suffer(fault))
                    show(self.outcomes[-1])

    def _rest(self) -> None:
        """Another phase of the heartbeats, sweeps and items each time."""
        time.sleep(self._rng.uniform(0.5, 2 if self._options.short else 5))

    def _suffer(self, fault: Fault) -> Outcome:
        house, hold_s = self._house, fault.hold(self._options.short)
        house.errand_wanted = not house.errand_wanted
        since, since_wall = time.monotonic(), time.time()
        with fault.strike(house, self._rng) as keys:
            converged, stuck = None, []
            self._hold(hold_s)
            if fault.elsewhere:
                converged, stuck = self._converge(since_wall, GIVE_UP_S)
        healed = time.time()
        afterwards, left = self._converge(healed, GIVE_UP_S)
        until = time.monotonic()
        converged = converged if fault.elsewhere else afterwards
        others = [key for key in house.keys if key not in keys]
        return Outcome(
            fault,
            [house.watch.off_air_s(place, since, until) for place in house.places(keys)],
            max(house.watch.silence_s(place, since, until) for place in house.places(keys)),
            max((house.watch.off_air_s(place, since, until) for place in house.places(others)), default=0.0),
            max(house.watch.doubled_s(place, since, until) for place in house.places([*house.keys, ERRAND])),
            converged,
            [*stuck, *left],
        )

    def _hold(self, seconds: float) -> None:
        """Broken, for so long; the owner of the errand presses meanwhile."""
        until = time.monotonic() + seconds
        while True:
            self._look_after_errand()
            if time.monotonic() >= until:
                return
            time.sleep(min(LOOK_EVERY_S, max(0.0, until - time.monotonic())))

    def _look_after_errand(self) -> None:
        try:
            self._house.run_errand(self._house.rows())
        except psycopg.Error:
            return

    def _converge(self, since: float, limit_s: float) -> tuple[float | None, list[str]]:
        """Seconds until all was as it should be; None, and what was not, if that never came."""
        began = time.monotonic()
        while True:
            left = complaints(self._house, since)
            if not left:
                return time.monotonic() - began, []
            if time.monotonic() - began > limit_s:
                return None, left
            self._look_after_errand()
            time.sleep(LOOK_EVERY_S)


def show(outcome: Outcome) -> None:
    took = "never" if outcome.converged is None else f"{outcome.converged:.1f} s"
    off_air = " ".join(f"{each:.1f}" for each in sorted(outcome.off_air))
    print(
        f"{outcome.fault.name:<20} off air {off_air} s; longest silence {outcome.silence:.1f} s; "
        f"converged {took}; doubled {outcome.doubled:.1f} s",
        flush=True,
    )
    if outcome.others_off_air:
        print(f"    another stream: {outcome.others_off_air:.1f} s off air", flush=True)
    for each in outcome.stuck:
        print(f"    {each}", flush=True)


def table(outcomes: list[Outcome], room: float) -> Iterable[str]:
    yield "| fault | times | off air min | median | max | longest silence | converged, worst | in the end | doubled |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for fault in FAULTS:
        suffered = [outcome for outcome in outcomes if outcome.fault is fault]
        if not suffered:
            continue
        off_air = [each for outcome in suffered for each in outcome.off_air]
        took = [outcome.converged for outcome in suffered]
        worst = "never" if None in took else f"{max(each or 0 for each in took):.1f} s"
        end = "stuck" if any(outcome.stuck for outcome in suffered) else "as wanted"
        late = " (!)" if any(outcome.failures(room) for outcome in suffered) else ""
        figures = f"{min(off_air):.1f} | {statistics.median(off_air):.1f} | {max(off_air):.1f}"
        figures += f" | {max(outcome.silence for outcome in suffered):.1f}"
        doubled = max(outcome.doubled for outcome in suffered)
        yield f"| {fault.name}{late} | {len(suffered)} | {figures} | {worst} | {end} | {doubled:.1f} s |"


def summary(outcomes: list[Outcome], options: Options, left_out: list[str]) -> dict[str, Any]:
    groups = {outcome.fault.group: 0.0 for outcome in outcomes}
    for outcome in outcomes:
        groups[outcome.fault.group] = round(max(groups[outcome.fault.group], *outcome.off_air), 1)
    silenced = [outcome.doubled for outcome in outcomes if outcome.fault.silences]
    return {
        "worst_off_air_s": groups,
        "worst_convergence_s": round(max((outcome.converged or GIVE_UP_S for outcome in outcomes), default=0.0), 1),
        "stuck": sum(bool(outcome.stuck) for outcome in outcomes),
        "double_push": sum(outcome.double_push for outcome in outcomes),
        "double_push_unheard_s": round(max(silenced, default=0.0), 1),
        "faults": len(outcomes),
        "left_out": left_out,
        "failed": [words for outcome in outcomes for words in outcome.failures(options.room)],
        "seed": options.seed,
    }


def chosen(only: tuple[str, ...]) -> list[Fault]:
    return [fault for fault in FAULTS if not only or fault.name in only or fault.group in only]


def missing(fault: Fault) -> bool:
    """Whether this machine lets us do it."""
    return (fault.needs_root and os.getuid() != 0) or (fault.group == "clock" and shutil.which("gcc") is None)


def run(options: Options) -> dict[str, Any]:
    faults = chosen(options.only)
    left_out = [fault.name for fault in faults if missing(fault)]
    home = Path(tempfile.mkdtemp(prefix="ezc-"))
    try:
        with ExitStack() as stack:
            for agent in AGENTS if os.getuid() == 0 else ():
                (home / agent).mkdir()
                stack.enter_context(small_disk(str(home / agent)))
            house = stack.enter_context(House(home, STREAMS))
            chaos = Chaos(house, options)
            chaos.run([fault for fault in faults if fault.name not in left_out])
            print(f"\nslowest sample: {house.watch.slowest_s:.1f} s\n")
        print("\n".join(table(chaos.outcomes, options.room)))
        return summary(chaos.outcomes, options, left_out)
    finally:
        if options.keep:
            print(f"logs and all else: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round, short outages, as many as fit into 5 minutes")
    parser.add_argument("--only", action="append", default=[], help="a fault or a group by its name; may come again")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, help="seconds after which no new fault begins")
    parser.add_argument("--room", type=float, default=1.0)
    parser.add_argument("--keep", action="store_true", help="leave the logs, and say where")
    args = parser.parse_args()
    rounds = args.rounds or (1 if args.short else 3)
    budget = args.budget or (190.0 if args.short else float("inf"))
    found = run(Options(args.short, tuple(args.only), rounds, args.seed, budget, args.room, args.keep))
    print("\n" + json.dumps(found, ensure_ascii=False))
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    end_on_signals()
    main()
