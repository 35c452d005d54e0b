"""What happened on air, told from one report of an agent to the next: lines for the timeline, seconds off air.

Pure. What must be remembered between two reports is a small value that can be JSON; it is kept beside the report,
so that any listener goes on where another left off. Moments are ours: an agent's clock may be wrong, so what it
says of the past is moved by the difference and held between the two reports that frame it.

A destination that flaps must not flood: of each subject (a destination, the slate, …) a few lines a minute are told
singly, the rest is summed up in one; while it goes on, one line in ten minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from agent.protocol import DestinationState, Renewal, RunReport
from kit.logs import mask
from streams.models import RunEvent

Kind = RunEvent.Kind
Memory = dict[str, Any]

LONGEST_WORDS: Final = 300
SINGLY: Final = 6
"""Lines a minute of one subject."""
SINGLY_IN_ALL: Final = 20
"""Lines a minute of one run."""
FIRST_SUM_S: Final = 60.0
NEXT_SUM_S: Final = 600.0
QUIET_S: Final = 10.0
"""A destination that was lost with the playout and is back so soon is told with the playout, not beside it."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One line. `facts` by kind:

    destination  output, name, state; `reason`, `off_s` (on air after; `first`: it had never been), or `times` and
                 `off_s`: a sum
    skipped      item, name, reason; or `times`: a sum
    slate        reason, seconds, paused; or `times` and `seconds`: a sum
    input        item, name, state, `reason`, `off_s`; or `times`: a sum
    restarted    times, `off_s`, `reason`
    renewed      output, name, `off_s`, asked
    """

    kind: Kind
    facts: dict[str, Any] = field(default_factory=dict)


class Names(Protocol):
    """What destinations and items are called now."""

    def output(self, output_id: int) -> str: ...
    def item(self, item_id: int) -> str: ...


def tell(memory: Memory, report: RunReport, now: float, skew: float, names: Names) -> tuple[list[Happening], Memory]:
    """What happened since the report that left `memory`, and the memory for the next one. `skew`: how far our clock
    is ahead of the agent's."""
    story = _Story(memory, report, now, skew, names)
    story.summaries()
    if report.phase != "stopping":
        story.restarts()
        story.destinations()
        story.skipped()
        story.input()
    story.slate()
    if report.phase == "stopping":
        story.summaries(all_of_them=True)
    return story.told, story.left()


def off_air(report: Mapping[str, Any] | None, outage_s: float = 0.0) -> dict[str, float]:
    """Seconds off air so far by the destination's id, from a run's stored report. `outage_s`: for so long the run was
    on air nowhere, of which its reports know nothing."""
    outputs = (report or {}).get("memory", {}).get("outputs", {})
    return {
        output: _off_so_far(row) + (outage_s if row.get("state") != "disabled" else 0.0)
        for output, row in outputs.items()
    }


def _off_so_far(row: Mapping[str, Any]) -> float:
    since = row.get("off_since")
    return float(row.get("off_s", 0.0)) + (max(0.0, row["at"] - since) if since is not None else 0.0)


class _Story:
    def __init__(self, memory: Memory, report: RunReport, now: float, skew: float, names: Names) -> None:
        self.told: list[Happening] = []
        self._was, self._report, self._names = memory, report, names
        self._now, self._skew = now, skew
        self._before = min(now, memory.get("at", now))
        self._next: Memory = {**memory, "at": now, "restarts": report.restarts}
        minute = int(now // 60)
        self._counts: dict[str, int] = dict(memory.get("counts", {})) if memory.get("minute") == minute else {}
        self._sums: dict[str, dict[str, Any]] = {key: dict(row) for key, row in memory.get("sums", {}).items()}
        self._next["minute"] = minute

    def left(self) -> Memory:
        return self._next | {"counts": self._counts, "sums": self._sums}

    # -------------------------------------------------------------------------------------- singly or in sum

    def _tell(self, subject: str, kind: Kind, **facts: Any) -> None:
        if subject in self._sums:
            self._add_up(self._sums[subject], facts)
        elif self._counts.get(subject, 0) >= SINGLY or sum(self._counts.values()) >= SINGLY_IN_ALL:
            self._sums[subject] = self._empty_sum(kind, FIRST_SUM_S)
            self._add_up(self._sums[subject], facts)
        else:
            self._counts[subject] = self._counts.get(subject, 0) + 1
            self.told.append(Happening(kind, facts))

    def _empty_sum(self, kind: str, lasts_s: float) -> dict[str, Any]:
        return {"kind": str(kind), "until": self._now + lasts_s, "lines": 0, "facts": {}}

    def _add_up(self, row: dict[str, Any], facts: dict[str, Any]) -> None:
        """Pairs of losing and coming back count once: by the line that has the seconds."""
        summed = row["facts"]
        ends = "off_s" in facts or "seconds" in facts or "state" not in facts
        for name in ("output", "item", "name"):
            if name in facts:
                summed[name] = facts[name]
        for name in ("off_s", "seconds"):
            if name in facts:
                summed[name] = summed.get(name, 0.0) + facts[name]
        summed["times"] = summed.get("times", 0) + ends
        row["lines"] += 1

    def summaries(self, *, all_of_them: bool = False) -> None:
        for subject, row in list(self._sums.items()):
            if not all_of_them and 0 <= row["until"] - self._now <= NEXT_SUM_S:
                continue
            del self._sums[subject]
            if row["lines"]:
                facts = row["facts"] | {"times": max(1, row["facts"]["times"])}
                self.told.append(Happening(Kind(row["kind"]), facts))
                self._sums[subject] = self._empty_sum(row["kind"], NEXT_SUM_S)

    # -------------------------------------------------------------------------------------- the playout

    def restarts(self) -> None:
        died = self._next.get("died") or {"since": None, "times": 0}
        more = self._report.restarts - self._was.get("restarts", self._report.restarts)
        if self._report.phase == "backing_off" and died["since"] is None:
            died = died | {"since": self._now}
        died = died | {"times": died["times"] + max(0, more)}
        if self._report.phase == "on_air" and died["times"]:
            off_s = {} if died["since"] is None else {"off_s": round(self._now - died["since"], 1)}
            reason = {"reason": _words(self._report.restart_reason)} if self._report.restart_reason else {}
            self._tell("restarted", Kind.RESTARTED, times=died["times"], **off_s, **reason)
            died = {"since": None, "times": 0}
        self._next["died"] = died if died["since"] is not None or died["times"] else None

    # -------------------------------------------------------------------------------------- destinations

    def destinations(self) -> None:
        known = dict(self._was.get("outputs", {}))
        for each in self._report.destinations:
            known[str(each.id)] = self._destination(each, known.get(str(each.id), {}))
        self._next["outputs"] = known

    def _destination(self, each: DestinationState, was: Mapping[str, Any]) -> dict[str, Any]:
        now = {"off_s": 0.0, "off_since": None, "told": None, **was, "state": each.state, "at": self._now}
        if each.renewal is not None:
            now["renewals"] = each.renewal.count
        if each.state == "live" and (renewal := self._renewed(each, was)):
            self._is_renewed(each, renewal, now)
        elif each.state == "live":
            self._is_live(each, was, now)
        elif each.state == "renewing":
            now["off_since"] = was.get("off_since") or self._moment(each.since)
        elif each.state == "disabled":
            self._is_off(each, was, now)
        else:
            self._is_away(each, was, now)
        return now

    def _renewed(self, each: DestinationState, was: Mapping[str, Any]) -> Renewal | None:
        """The renewal that came off since the last report. One that did not at first is an outage like any."""
        if each.renewal is None or was.get("state") not in ("live", "renewing"):
            return None
        return each.renewal if each.renewal.count > was.get("renewals", each.renewal.count) else None

    def _is_renewed(self, each: DestinationState, renewal: Renewal, now: dict[str, Any]) -> None:
        """Its leg has measured it: what two reports frame would be longer."""
        off_s = round(max(0.0, renewal.off_s), 1)
        now |= {"told": None, "has_been_live": True, "off_since": None, "off_s": round(now["off_s"] + off_s, 1)}
        now["name"] = name = self._names.output(each.id)
        self._tell(f"r{each.id}", Kind.RENEWED, output=each.id, name=name, off_s=off_s, asked=renewal.asked)

    def _is_live(self, each: DestinationState, was: Mapping[str, Any], now: dict[str, Any]) -> None:
        now["told"] = None
        now["has_been_live"] = True
        if was.get("state") == "live":
            return
        off_s = self._close(each, now)
        is_quiet = now.pop("quiet", False) and (off_s or 0.0) < QUIET_S
        if was.get("state") and not is_quiet:
            first = {} if was.get("has_been_live") or off_s is None else {"first": True}
            self._of(each, now, **first, **({} if off_s is None else {"off_s": off_s}))

    def _is_off(self, each: DestinationState, was: Mapping[str, Any], now: dict[str, Any]) -> None:
        now["told"] = None
        self._close(each, now)
        if was.get("state") not in ("disabled", None):
            self._of(each, now)

    def _is_away(self, each: DestinationState, was: Mapping[str, Any], now: dict[str, Any]) -> None:
        is_lost = was.get("state") in ("live", "renewing")
        if is_lost:
            now["quiet"] = self._report.phase != "on_air"
        if is_lost and now["off_since"] is None:
            # Without a playout nobody knows since when; the agent names the run's begin.
            now["off_since"] = self._now if now["quiet"] else self._moment(each.since)
        never_came = each.state != "connecting" and not was.get("has_been_live") and now["off_since"] is None
        if never_came:
            now["off_since"] = self._moment(each.since)
        reason = _words(each.reason)
        if each.state in ("refused", "failed") and now["told"] != [each.state, reason]:
            now["told"] = [each.state, reason]
            self._of(each, now, reason=reason)
        elif (is_lost and not now["quiet"]) or never_came:
            self._of(each, now, reason=reason)

    def _of(self, each: DestinationState, now: dict[str, Any], **facts: Any) -> None:
        now["name"] = self._names.output(each.id)
        self._tell(f"d{each.id}", Kind.DESTINATION, output=each.id, name=now["name"], state=each.state, **facts)

    def _close(self, each: DestinationState, now: dict[str, Any]) -> float | None:
        """Ends the time off air: how long it was, None when there was none."""
        since, now["off_since"] = now["off_since"], None
        if since is None:
            return None
        off_s: float = round(max(0.0, self._moment(each.since) - since), 1)
        now["off_s"] = round(now["off_s"] + off_s, 1)
        return off_s

    def _moment(self, since: float) -> float:
        """When it happened, by our clock: between the last report and this one."""
        moment: float = min(self._now, max(self._before, since + self._skew))
        return moment

    # -------------------------------------------------------------------------------------- items

    def skipped(self) -> None:
        before = {(row[0], row[1]) for row in self._was.get("skipped", [])}
        rows = [(each.item_id, _words(each.reason)) for each in self._report.skipped]
        for item_id, reason in rows:
            if (item_id, reason) not in before:
                name = self._names.item(item_id)
                self._tell("skipped", Kind.SKIPPED, item=item_id, name=name, reason=reason)
        self._next["skipped"] = [list(row) for row in rows]

    def slate(self) -> None:
        was: dict[str, Any] | None = self._was.get("slate")
        why = None if self._report.slate is None or self._report.phase == "stopping" else _words(self._report.slate)
        paused = self._report.paused
        if was is not None and (why, paused) == (was["reason"], was["paused"]):
            return
        if was is not None:
            lasted = round(max(0.0, self._now - was["since"]), 1)
            self._tell("slate", Kind.SLATE, reason=was["reason"], paused=was["paused"], seconds=lasted)
        self._next["slate"] = None if why is None else {"reason": why, "paused": paused, "since": self._now}

    def input(self) -> None:
        """A live input that goes and comes back; that its turn came is what is playing, not what happened."""
        said, was = self._report.input, self._was.get("input")
        if said is None:
            self._next["input"] = None
            return
        is_same = was is not None and was["item"] == said.item_id
        away = was["away_since"] if was is not None and is_same else None
        if said.state == "away" and away is None:
            away = self._moment(said.since)
            self._of_input(said.item_id, "away", reason=_words(said.reason))
        elif said.state == "on" and away is not None:
            self._of_input(said.item_id, "on", off_s=round(max(0.0, self._moment(said.since) - away), 1))
            away = None
        self._next["input"] = {"item": said.item_id, "away_since": away}

    def _of_input(self, item_id: int, state: str, **facts: Any) -> None:
        self._tell("input", Kind.INPUT, item=item_id, name=self._names.item(item_id), state=state, **facts)


def _words(text: str | None) -> str:
    return mask(text or "")[:LONGEST_WORDS]
