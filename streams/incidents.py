"""What went wrong on air and for how long (EDGE-6), worked out from a stream's history: its transitions and what its
runs had to tell. Pure: rows in, incidents and uptime out; nothing of it is stored.

**Wanted** is the time from the first byte that was accepted after a Start (or from the failure of that start) until
somebody pressed Stop, an operator ended it, or the playlist came to its end. A stream that failed and was left so is
wanted for `GIVEN_UP_S` more: after a day nobody waits for it. Preparing is not wanted time.

**Off air** a destination is while the stream is wanted and not on air, while the player is gone, and while the
destination itself does not take the stream. Where a server fell silent, that is from when it was last heard of, unless
it comes back and tells that it had been live all along (`streams.interrupting.was_on_air`). Uptime follows from the
two (`streams.uptime`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from streams.incident_kinds import Change, Happened, Incident, Output, Story, What
from streams.models import RunEvent, Status
from streams.spans import Span, merged

GIVEN_UP_S: Final = 86_400.0
SHORTEST_SUM_S: Final = 60.0
"""A sum of a flapping subject stands for at least so long."""
Kind = RunEvent.Kind
MOVED: Final = "moved"
"""The transition (`streams.lifecycle.Event`)."""


def tell(changes: Sequence[Change], happened: Sequence[Happened], outputs: Sequence[Output], now: float) -> Story:
    """All in order of time, oldest first; `incidents` come newest first."""
    whole = _Whole(now)
    for change in changes:
        whole.see(change)
    whole.end()
    parts = _Parts(outputs, _ends_of_runs(changes), now)
    for each in happened:
        parts.see(each)
    parts.end()
    names = [output.name for output in outputs]
    outages = [replace(one, off_s=dict.fromkeys(names, _lasted(one, now))) for one in whole.incidents]
    everywhere = [*(Span(one.begun_at, one.ended_at or now) for one in outages), *whole.moves]
    off = {output.id: merged([*everywhere, *parts.off.get(output.id, ())]) for output in outputs}
    incidents = sorted([*outages, *parts.incidents], key=lambda one: one.begun_at, reverse=True)
    return Story(incidents, merged(whole.wanted), off, parts.unwanted)


def _lasted(incident: Incident, now: float) -> float:
    return round(max(0.0, (incident.ended_at or now) - incident.begun_at), 1)


def _ends_of_runs(changes: Iterable[Change]) -> dict[str, float]:
    """When each run was over, or was to be over."""
    ends: dict[str, float] = {}
    for change in changes:
        if change.new in (Status.STOPPING, Status.INACTIVE, Status.ERROR):
            ends.setdefault(change.run_id, change.at)
    return ends


# ------------------------------------------------------------------------------------------------ the stream as a whole


class _Whole:
    """Follows the stream's status: when it was wanted, and when it was not on air all the same."""

    def __init__(self, now: float) -> None:
        self.wanted: list[Span] = []
        self.incidents: list[Incident] = []
        self.moves: list[Span] = []
        """On the way from one VPS to another as planned: no incidents, but off air all the same."""
        self._now = now
        self._moved_at: float | None = None
        self._since: float | None = None
        self._open: Incident | None = None
        self._failed_at: float | None = None

    def see(self, change: Change) -> None:
        self._give_up(change.at)
        if self._since is None and change.old == Status.STREAMING:
            self._since = change.at  # what was before is not in the history any more
        if change.event == MOVED:
            self._moved_at = change.at
            return
        was_moving = self._arrive(change.at)
        if change.new == Status.STREAMING:
            self._since = change.at if self._since is None else self._since
            self._close(change.at)
        elif change.new in (Status.STOPPING, Status.INACTIVE):
            self._rest(change.at)
        elif change.new != Status.STARTING or change.old == Status.STREAMING or was_moving:
            self._fail(change)
        self._failed_at = change.at if change.new == Status.ERROR else None

    def end(self) -> None:
        self._give_up(self._now)
        if self._open is not None:
            self.incidents.append(self._open)
        if self._moved_at is not None:
            self.moves.append(Span(self._moved_at, self._now))
        if self._since is not None:
            self.wanted.append(Span(self._since, self._now))

    def _arrive(self, at: float) -> bool:
        """Whether it was on the way. If it comes nowhere, that is an incident from now on."""
        begun_at, self._moved_at = self._moved_at, None
        if begun_at is not None:
            self.moves.append(Span(begun_at, at))
        return begun_at is not None

    def _fail(self, change: Change) -> None:
        was_wanted = self._since is not None
        self._since = change.at if self._since is None else self._since
        if self._open is not None:
            self._open = replace(self._open, times=self._open.times + 1, cause=change.message or self._open.cause)
            return
        what = What.OUTAGE if was_wanted else What.START
        begun_at = max(self._since, change.heard_at or change.at)
        self._open = Incident(what=what, begun_at=begun_at, ended_at=None, run_id=change.run_id, cause=change.message)

    def _close(self, at: float) -> None:
        if self._open is not None:
            self.incidents.append(replace(self._open, ended_at=at))
            self._open = None

    def _rest(self, at: float) -> None:
        self._close(at)
        if self._since is not None:
            self.wanted.append(Span(self._since, at))
            self._since = None

    def _give_up(self, at: float) -> None:
        if self._failed_at is not None and at - self._failed_at > GIVEN_UP_S:
            self._rest(self._failed_at + GIVEN_UP_S)


# ------------------------------------------------------------------------------------------------ what happened on air


class _Parts:
    """Follows what runs told: destinations, the player, the slate, live inputs, items."""

    def __init__(self, outputs: Sequence[Output], ends: Mapping[str, float], now: float) -> None:
        self.incidents: list[Incident] = []
        self.off: dict[int, list[Span]] = {}
        self.unwanted: dict[int, list[Span]] = {}
        self._outputs, self._ends, self._now = outputs, ends, now
        self._open: dict[tuple[str, str, int], Incident] = {}
        self._off_since: dict[int, float] = {}

    def see(self, each: Happened) -> None:
        """A line that is not understood is passed over: rows outlive the version that wrote them."""
        with suppress(KeyError, TypeError, ValueError):
            self._see(each)

    def _see(self, each: Happened) -> None:
        match each.kind:
            case Kind.DESTINATION:
                self._destination(each, int(each.facts["output"]))
            case Kind.RESTARTED:
                self._player(each)
            case Kind.RENEWED:
                self._planned(each, int(each.facts["output"]))
            case Kind.SLATE if not each.facts.get("paused"):
                self._instant(What.SLATE, each, float(each.facts.get("seconds", 0.0)))
            case Kind.SKIPPED:
                self._instant(What.SKIPPED, each, 0.0)
            case Kind.INPUT:
                self._input(each)

    def end(self) -> None:
        for (_kind, run_id, output), one in self._open.items():
            self._settle(one, self._ends.get(run_id), output)
        for output, since in self._off_since.items():
            self.unwanted.setdefault(output, []).append(Span(since, self._now))

    def _destination(self, each: Happened, output: int) -> None:
        key = ("destination", each.run_id, output)
        state, off_s = each.facts.get("state"), each.facts.get("off_s")
        if "times" in each.facts or (state == "live" and off_s is not None):
            self._came_back(key, each, output)
        elif state in ("live", "disabled"):
            if key in self._open:
                self._settle(self._open.pop(key), each.at, output)
        elif key in self._open:
            self._open[key] = replace(self._open[key], cause=each.facts.get("reason") or self._open[key].cause)
        else:
            self._open[key] = self._begun(What.DESTINATION, each)
        self._follow_switch(output, state, each.at)

    def _follow_switch(self, output: int, state: str | None, at: float) -> None:
        if state == "disabled":
            self._off_since.setdefault(output, at)
        elif output in self._off_since:
            self.unwanted.setdefault(output, []).append(Span(self._off_since.pop(output), at))

    def _came_back(self, key: tuple[str, str, int], each: Happened, output: int) -> None:
        """The line that has the seconds is the truth; the ones before it say why."""
        off_s, times = float(each.facts.get("off_s", 0.0)), int(each.facts.get("times", 1))
        begun = self._open.pop(key, None)
        lasted = max(off_s, SHORTEST_SUM_S) if "times" in each.facts else off_s
        cause = begun.cause if begun else str(each.facts.get("reason") or "")
        one = self._begun(What.DESTINATION, each)
        self.incidents.append(
            replace(
                one,
                begun_at=min(each.at - lasted, begun.begun_at) if begun and "times" in each.facts else each.at - lasted,
                ended_at=each.at,
                cause=cause,
                times=times,
                off_s={one.subject: off_s},
            )
        )
        self.off.setdefault(output, []).append(Span(each.at - off_s, each.at))

    def _settle(self, one: Incident, ended_at: float | None, output: int) -> None:
        """`ended_at` None: it goes on."""
        ended_at = None if ended_at is None else max(one.begun_at, ended_at)
        if one.what is What.DESTINATION:
            span = Span(one.begun_at, max(one.begun_at, self._now) if ended_at is None else ended_at)
            one = replace(one, off_s={one.subject: round(span.end - span.begin, 1)})
            self.off.setdefault(output, []).append(span)
        self.incidents.append(replace(one, ended_at=ended_at))

    def _player(self, each: Happened) -> None:
        off_s = float(each.facts.get("off_s", 0.0))
        one = self._begun(What.PLAYER, each)
        off = {output.name: off_s for output in self._outputs}
        begun_at = each.at - off_s
        self.incidents.append(
            replace(one, begun_at=begun_at, ended_at=each.at, times=int(each.facts.get("times", 1)), off_s=off)
        )
        for output in self._outputs:
            self.off.setdefault(output.id, []).append(Span(begun_at, each.at))

    def _planned(self, each: Happened, output: int) -> None:
        """No incident; but it was off air for so long."""
        self.off.setdefault(output, []).append(Span(each.at - float(each.facts.get("off_s", 0.0)), each.at))

    def _instant(self, what: What, each: Happened, seconds: float) -> None:
        one = self._begun(what, each)
        times = int(each.facts.get("times", 1))
        self.incidents.append(replace(one, begun_at=each.at - seconds, ended_at=each.at, times=times))

    def _input(self, each: Happened) -> None:
        key = ("input", each.run_id, int(each.facts.get("item", 0)))
        if each.facts.get("state") == "away" and "times" not in each.facts:
            self._open.setdefault(key, self._begun(What.INPUT, each))
            return
        begun = self._open.pop(key, None) or self._begun(What.INPUT, each)
        begun_at = min(begun.begun_at, each.at - float(each.facts.get("off_s", 0.0)))
        times = int(each.facts.get("times", 1))
        self.incidents.append(replace(begun, begun_at=begun_at, ended_at=each.at, times=times))

    def _begun(self, what: What, each: Happened) -> Incident:
        facts = each.facts
        cause, subject = str(facts.get("reason") or ""), str(facts.get("name") or "")
        return Incident(what=what, begun_at=each.at, ended_at=None, run_id=each.run_id, subject=subject, cause=cause)
