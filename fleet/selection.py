"""Which VPS takes the next run (FLT-2). Pure: candidates in, a choice with its reasons out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

GOOD_LATENCY_MS: Final = 50.0
BAD_LATENCY_MS: Final = 500.0
UNKNOWN_LATENCY_SCORE: Final = 0.5
TOLD: Final = 20
"""Of a large fleet so many are named, the best and the first that were passed over."""
NOBODY: Final[Mapping[int, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One VPS as the choice sees it. Percentages 0–100; `latency_ms` None when never measured."""

    vps_id: int
    name: str
    is_active: bool = True
    is_multistream: bool = True
    is_reachable: bool = True
    is_accepting: bool = True
    unhealthy: str = ""
    max_streams: int = 4
    current_streams: int = 0
    cpu: float | None = 0.0
    memory: float | None = 0.0
    latency_ms: float | None = None
    success_rate: float = 1.0
    """Share of its recent runs that came on air, 0..1; 1 for a VPS without history."""


@dataclass(frozen=True, slots=True)
class Scored:
    vps_id: int
    name: str
    current_streams: int
    capacity: float
    resource: float
    connection: float
    performance: float
    score: float


@dataclass(frozen=True, slots=True)
class PassedOver:
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """`best` None: nobody can take it. `ranked` is best first."""

    best: Scored | None
    ranked: tuple[Scored, ...]
    passed_over: tuple[PassedOver, ...]
    is_preferred: bool = False

    def explain(self) -> str:
        """One line for the log."""
        ranked = _some([f"{row.name} {row.score:.1f}" for row in self.ranked])
        best = self.best.name if self.best else "none"
        return f"chosen {best} of [{ranked}]; passed over: {self._passed() or 'none'}"

    def why_none(self) -> str:
        return self._passed() or "there is no VPS in the fleet"

    def as_json(self) -> dict[str, Any]:
        """What is kept with each run: `left_out` is how many more there were."""
        kept = replace(self, ranked=self.ranked[:TOLD], passed_over=self.passed_over[:TOLD])
        left_out = len(self.ranked) + len(self.passed_over) - len(kept.ranked) - len(kept.passed_over)
        return asdict(kept) | ({"left_out": left_out} if left_out else {})

    def _passed(self) -> str:
        return _some([f"{row.name} ({row.why})" for row in self.passed_over])


def _some(names: list[str]) -> str:
    more = [f"{len(names) - TOLD} more"] if len(names) > TOLD else []
    return ", ".join(names[:TOLD] + more)


def choose(
    candidates: Iterable[Candidate], *, preferred: int | None = None, passed_over: Mapping[int, str] = NOBODY
) -> Choice:
    """The best eligible candidate; the preferred one when it is eligible. `passed_over`: who is not asked, and why."""
    able, unable = [], []
    for candidate in candidates:
        why = why_not(candidate) or passed_over.get(candidate.vps_id)
        if why is None:
            able.append(score(candidate))
        else:
            unable.append(PassedOver(candidate.name, why))
    ranked = tuple(sorted(able, key=lambda row: (-row.score, row.current_streams, row.vps_id)))
    wished = next((row for row in ranked if row.vps_id == preferred), None)
    best = wished or (ranked[0] if ranked else None)
    return Choice(best, ranked, tuple(unable), wished is not None)


def for_a_question(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Who can look something up for us, the least loaded first. It needs no room for a stream."""
    able = [each for each in candidates if each.is_active and each.is_reachable and each.is_accepting]
    return sorted(able, key=lambda each: (_load(each.cpu), each.current_streams, each.vps_id))


def why_not(candidate: Candidate) -> str | None:
    """Why it may take nothing now, in words; None when it may."""
    if not candidate.is_active:
        return "not active"
    if not candidate.is_multistream:
        return "takes one destination only"
    if not candidate.is_reachable:
        return "no fresh heartbeat"
    if not candidate.is_accepting:
        return "shutting down"
    if candidate.unhealthy:
        return f"unhealthy: {candidate.unhealthy}"
    if candidate.current_streams >= candidate.max_streams:
        return f"full, {candidate.current_streams} of {candidate.max_streams}"
    return None


def score(candidate: Candidate) -> Scored:
    """FLT-2's formula. A load never reported counts as full load."""
    room = candidate.max_streams - candidate.current_streams
    capacity = room / candidate.max_streams * 40
    resource = (100 - _load(candidate.cpu)) * 0.3 + (100 - _load(candidate.memory)) * 0.2
    connection = latency_score(candidate.latency_ms) * 6
    performance = candidate.success_rate * 10
    return Scored(
        candidate.vps_id,
        candidate.name,
        candidate.current_streams,
        capacity,
        resource,
        connection,
        performance,
        round(capacity + resource + connection + performance, 6),
    )


def latency_score(latency_ms: float | None) -> float:
    """1 up to 50 ms, 0 from 500 ms, straight between."""
    if latency_ms is None:
        return UNKNOWN_LATENCY_SCORE
    share = (BAD_LATENCY_MS - latency_ms) / (BAD_LATENCY_MS - GOOD_LATENCY_MS)
    return min(1.0, max(0.0, share))


def _load(percent: float | None) -> float:
    return 100.0 if percent is None else min(100.0, max(0.0, percent))
