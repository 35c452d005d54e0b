"""A destination that is killed: what the others notice, and how soon it is back.

    .venv/bin/python -m bench.playout_faults [--short 20] [--long 90]

One playout with a file of 3 Mbit/s and four destinations. One is killed for `--short` seconds, then another one for
`--long`. The wait before an attempt grows with the outage, a tenth of it up to 30 s: at 90 s it has grown to about
9 s, so «within 30 s» is proven there with that wait; with `--long 330` it is proven with the longest wait there is.
«Accepted» is the receiver's publish, «media» its first frame: that is a key frame, so the file's distance between
them (2 s here) may come on top. Fails when another destination loses a byte, waits over 150 ms or is reconnected, or
when one is not accepted within 3 s (30 s) of being reachable, or has no media within a key frame more. The last line is
JSON; the exit code 1 when it failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.footage import footage
from bench.ours import Playouts, destination, status
from bench.playout_soak import Clip, measure_clip
from bench.sink import Drained, Sink
from lab.processes import wait_until

NAMES: Final = ("steady 1", "steady 2", "short outage", "long outage")
SETTLE_S: Final = 6.0
MOST_GAP_MS: Final = 150.0
MOST_BEHIND_S: Final = 1.5
LIMITS_S: Final = {"short outage": 3.0, "long outage": 30.0}
KEY_FRAMES_S: Final = 2.0
POLL_S: Final = 0.01
AFTER_S: Final = 3.0
"""The others are still looked at when it has joined again."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Times in seconds from when it could be reached again. `others`: by name, over the outage and the return."""

    name: str
    down_s: float
    accepted_s: float
    media_s: float
    watched_s: float
    others: dict[str, Drained]
    reason: str


class Faults:
    def __init__(self, sinks: dict[str, Sink], run_dir: Path) -> None:
        self._sinks = sinks
        self._run_dir = run_dir

    def outage(self, name: str, down_s: float) -> Outage:
        others = {other: sink for other, sink in self._sinks.items() if other != name}
        for sink in others.values():
            sink.mark()
        marked = time.monotonic()
        self._sinks[name].stop()
        time.sleep(down_s)
        reason = self._place(name)["reason"]
        self._sinks[name].start()
        reachable = time.monotonic()
        accepted_s = self._first(name, reachable, lambda each: each.published)
        media_s = self._first(name, reachable, lambda each: each.published and each.bytes > 0)
        time.sleep(AFTER_S)
        got = {other: sink.open()[0] for other, sink in others.items()}
        return Outage(name, down_s, accepted_s, media_s, time.monotonic() - marked, got, reason)

    def _first(self, name: str, since: float, condition: Callable[[Drained], bool]) -> float:
        sink = self._sinks[name]
        wait_until(lambda: any(map(condition, sink.report())), f"«{name}» is back", 40, every_s=POLL_S)
        return time.monotonic() - since

    def places(self) -> list[dict[str, Any]]:
        return list(status(self._run_dir)["destinations"])

    def _place(self, name: str) -> dict[str, Any]:
        return next(place for place in self.places() if place["name"] == name)


def failures(outage: Outage, clip: Clip) -> list[str]:
    limit = LIMITS_S[outage.name]
    found = [f"{outage.name}: accepted after {outage.accepted_s:.1f} s"] if outage.accepted_s > limit else []
    if outage.media_s > limit + KEY_FRAMES_S:
        found.append(f"{outage.name}: media after {outage.media_s:.1f} s")
    for name, got in outage.others.items():
        if got.gap_ms > MOST_GAP_MS:
            found.append(f"{outage.name}: {name} waited {got.gap_ms:.0f} ms")
        if behind_s(outage, got, clip) > MOST_BEHIND_S:
            found.append(f"{outage.name}: {name} got too little")
    return found


def behind_s(outage: Outage, got: Drained, clip: Clip) -> float:
    """How much less came than the file's rate promises, in seconds of it."""
    return outage.watched_s - got.bytes / clip.bytes_per_s


def lost(places: list[dict[str, Any]]) -> list[str]:
    """By the playout's own account, over the whole run."""
    found = [f"{place['name']}: {place['drops']} packets dropped" for place in places if place["drops"]]
    wanted = {name: int(name in LIMITS_S) for name in NAMES}
    found += [
        f"{place['name']}: {place['reconnects']} reconnects"
        for place in places
        if place["reconnects"] != wanted[place["name"]]
    ]
    return found


def show(outage: Outage, clip: Clip) -> None:
    print(f"\n{outage.name}, {outage.down_s:g} s («{outage.reason}»)")
    print(f"  {outage.name:<14} accepted after {outage.accepted_s:.2f} s, media after {outage.media_s:.2f} s")
    for name, got in outage.others.items():
        behind = behind_s(outage, got, clip)
        print(
            f"  {name:<14} {got.bytes:>11} bytes, {behind:+.2f} s behind, longest gap {got.gap_ms:.0f} ms", flush=True
        )


def as_json(outage: Outage) -> dict[str, Any]:
    return {
        "down_s": outage.down_s,
        "accepted_s": round(outage.accepted_s, 2),
        "media_s": round(outage.media_s, 2),
        "others_max_gap_ms": round(max(got.gap_ms for got in outage.others.values())),
    }


def run(home: Path, lengths: dict[str, float]) -> dict[str, Any]:
    with ExitStack() as stack:
        clip = measure_clip(footage(home))
        sinks = {name: stack.enter_context(Sink()) for name in NAMES}
        playouts = stack.enter_context(Playouts(home))
        places = [destination(n, sink.url(), f"k{n}") for n, sink in enumerate(sinks.values(), 1)]
        named = [place | {"name": name} for place, name in zip(places, sinks, strict=True)]
        faults = Faults(sinks, playouts.start(1, clip.path, named))
        wait_until(lambda: all(sink.open() for sink in sinks.values()), "four connections", every_s=0.1)
        found: dict[str, Any] = {"failed": []}
        for name, down_s in lengths.items():
            time.sleep(SETTLE_S)
            outage = faults.outage(name, down_s)
            show(outage, clip)
            found[name.split()[0]] = as_json(outage)
            found["failed"] += failures(outage, clip)
        found["failed"] += lost(faults.places())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", type=float, default=20)
    parser.add_argument("--long", type=float, default=90)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ezb-") as home:
        found = run(Path(home), {"short outage": args.short, "long outage": args.long})
    print("\n" + json.dumps(found, ensure_ascii=False))
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()
