"""What is counted and measured, for Prometheus (OPS-4).

Every process of a machine counts in files of its own in METRICS_DIR; whichever web process is asked adds them all up.
So the figures are the machine's, however many web processes there are and whichever answers. What the database or
Redis knows is not counted here but asked for when somebody looks (`ops.metrics`).
"""

from __future__ import annotations

import fcntl
import os
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from django.conf import settings

settings.METRICS_DIR.mkdir(parents=True, exist_ok=True)

from prometheus_client import CollectorRegistry, Counter, Histogram  # noqa: E402  (opens its files in METRICS_DIR)
from prometheus_client.mmap_dict import MmapedDict  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402

_QUICK: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG: Final = (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)

HTTP_REQUESTS: Final = Counter("ezstream_http_requests", "Requests answered.", ["method", "view", "status"])
HTTP_SECONDS: Final = Histogram("ezstream_http_request_seconds", "How long answers took.", ["view"], buckets=_QUICK)
ACTOR_SECONDS: Final = Histogram(
    "ezstream_actor_seconds", "How long background work took.", ["actor", "outcome"], buckets=_LONG
)
JOB_SECONDS: Final = Histogram(
    "ezstream_job_seconds", "How long periodic jobs took.", ["job", "outcome"], buckets=_LONG
)
LISTENER_MESSAGES: Final = Counter(
    "ezstream_listener_messages", "Messages of agents, by what became of them (`received` counts all).", ["kind"]
)
LISTENER_LAG: Final = Histogram(
    "ezstream_listener_lag_seconds",
    "From the arrival of a batch's oldest message until it was in the database.",
    buckets=_QUICK,
)
FOLD_ABOVE: Final = 8
"""Files that dead processes left behind, of a kind; more are folded into one."""


class Followed:
    """Makes a running count a metric: adds what it grew by since it was last looked at."""

    def __init__(self, metric: Counter) -> None:
        self._metric = metric
        self._seen: Tally[str] = Tally()

    def look(self, counts: Mapping[str, int]) -> None:
        for kind, count in counts.items():
            if count > self._seen[kind]:
                self._metric.labels(kind).inc(count - self._seen[kind])
                self._seen[kind] = count


def counted() -> CollectorRegistry:
    """What all processes of this machine have counted."""
    registry = CollectorRegistry()
    with (settings.METRICS_DIR / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fold_dead(settings.METRICS_DIR)
        MultiProcessCollector(registry, path=str(settings.METRICS_DIR))  # type: ignore[no-untyped-call]
    return registry


def fold_dead(directory: Path) -> None:
    """Counts of processes that are gone still count, or the sums would fall; but their files must not be thousands."""
    for kind in ("counter", "histogram"):
        dead = [path for path in sorted(directory.glob(f"{kind}_*.db")) if not _is_alive(path)]
        if len(dead) > FOLD_ABOVE:
            _fold(dead, directory / f"{kind}_0.db")


def _is_alive(path: Path) -> bool:
    """By the process id in the file's name. 0 is no process: what was folded bears it."""
    pid = int(path.stem.rpartition("_")[2])
    if pid == 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fold(paths: Iterable[Path], into: Path) -> None:
    sums: dict[str, float] = defaultdict(float)
    for path in paths:
        for key, value, _at, _place in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            sums[key] += value
    fresh = into.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    written = MmapedDict(str(fresh))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    for path in paths:
        path.unlink()
    fresh.rename(into)
