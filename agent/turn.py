"""One turn of `decide`: a working copy of the state, and what follows from how it changed.

Journal, plan, heartbeat, status, progress and slates are not asked for by the handlers: they are the difference
between the state before and after, so none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import is_not
from typing import Final

from agent import relays, report, shelf
from agent.actions import (
    Action,
    Forget,
    Hold,
    MakeSlate,
    Note,
    Poke,
    Publish,
    Remember,
    Report,
    Spawn,
    WritePlan,
)
from agent.profile import DEFAULT
from agent.protocol import Steered, StreamConfig, StreamProgress, StreamStatus
from agent.state import (
    ENDED_REMEMBERED,
    STEERED_REMEMBERED,
    Ended,
    Media,
    Order,
    Run,
    Slate,
    State,
    Verdict,
)

_LEVEL: Final = {"STOPPED": "info", "ERROR": "error"}


class Turn:
    def __init__(self, state: State, now: float) -> None:
        self.before = state
        self.now = now
        self.runs: dict[int, Run] = dict(state.runs)
        self.media: dict[str, Media] = dict(state.media)
        self.slates: dict[str, Slate] = dict(state.slates)
        self.steered: dict[str, Steered | None] = dict(state.steered)
        self.ended: dict[str, Ended] = dict(state.ended)
        self.leaving_since = state.leaving_since
        self._same_files = True
        self._actions: list[Action] = []

    # ------------------------------------------------------------------------------------ for the handlers

    def do(self, *actions: Action) -> None:
        self._actions.extend(actions)

    def note(self, level: str, text: str, run: Run | None = None, **more: str | int | bool | None) -> None:
        about: dict[str, str | int | bool | None] = {}
        if run is not None:
            about = {"stream_id": run.stream_id, "run_id": run.run_id, "request_id": run.config.request_id or None}
        self.do(Note(level, text, **(about | more)))  # type: ignore[arg-type]

    def order(self, config: StreamConfig, said_at: float) -> Order:
        return Order(config=config, said_at=said_at, reach_private=self.before.reach_private)

    def put(self, run: Run) -> Run:
        self.runs[run.stream_id] = run
        return run

    def run_of(self, run_id: str) -> Run | None:
        return next((run for run in self.runs.values() if run.run_id == run_id), None)

    def holders(self, key: str) -> list[Run]:
        return [run for run in self.runs.values() if key in run.files]

    def progress(self, run: Run, stage: str, percent: int, message: str) -> None:
        self.do(
            Publish(
                StreamProgress(
                    stream_id=run.stream_id,
                    stage=stage,
                    progress=percent,
                    message=message,
                    vps_id=self.before.vps_id,
                    timestamp=self.now,
                    run_id=run.run_id,
                )
            )
        )

    def refuse(self, order: Order, reason: str, *, permanent: bool) -> None:
        """A run that never begins: said as an error, and remembered as ended."""
        self.note("warning", f"start refused: {reason}", Run(order=order, begun_at=self.now))
        self.end_as(order, Verdict(status="ERROR", message=reason, permanent=permanent))

    def end_as(self, order: Order, verdict: Verdict) -> None:
        config = order.config
        self.ended.pop(config.run_id, None)
        self.ended[config.run_id] = Ended(stream_id=config.id, epoch=config.epoch, verdict=verdict)
        self.tell_end(config.id, config.run_id, config.epoch, verdict)

    def tell_end(self, stream_id: int, run_id: str, epoch: int | None, verdict: Verdict) -> None:
        message = StreamStatus(
            stream_id=stream_id,
            status=verdict.status,
            message=verdict.message,
            vps_id=self.before.vps_id,
            timestamp=self.now,
            run_id=run_id,
            epoch=epoch,
            permanent=verdict.permanent,
        )
        self.do(Report(message))

    def tell_streaming(self, run: Run) -> None:
        self.do(
            Report(
                StreamStatus(
                    stream_id=run.stream_id,
                    status="STREAMING",
                    message="on air",
                    vps_id=self.before.vps_id,
                    timestamp=self.now,
                    run_id=run.run_id,
                    epoch=run.config.epoch,
                    ffmpeg_pid=run.pid,
                    output_url=report.output_url(run.config),
                    run=report.run_report(run, self.media),
                )
            )
        )

    # ------------------------------------------------------------------------------------- what follows

    def close(self) -> tuple[State, list[Action]]:
        first: list[Action] = []
        last: list[Action] = []
        same_orders = self._same_orders()
        if not (same_orders and self._files_are_same() and self.slates.keys() >= shelf.ALWAYS):
            self._want_slates()
        self._same_files = self._files_are_same()
        for stream_id in [*self.before.runs, *(each for each in self.runs if each not in self.before.runs)]:
            self._follow(self.before.runs.get(stream_id), self.runs.get(stream_id), first, last)
        if not same_orders or self.media != self.before.media:
            self._hold(first)
        first += relays.follow(self.before.runs, self.runs)
        for remembered, most in ((self.ended, ENDED_REMEMBERED), (self.steered, STEERED_REMEMBERED)):
            while len(remembered) > most:
                del remembered[next(iter(remembered))]
        state = replace(
            self.before,
            runs=self.runs,
            media=self.media,
            slates=self.slates,
            steered=self.steered,
            ended=self.ended,
            leaving_since=self.leaving_since,
        )
        return state, [*first, *self._actions, *last]

    def _follow(self, old: Run | None, new: Run | None, first: list[Action], last: list[Action]) -> None:
        if old is new and self._same_files:
            return
        if old is not None and (new is None or new.run_id != old.run_id):
            # A successor's spawn waits for nothing here: the old run has no process any more.
            first.append(Forget(old.run_id)) if new else last.append(Forget(old.run_id))
            last.append(Poke())
        if new is None:
            return
        same = old if old is not None and old.run_id == new.run_id else None
        if same is None or report.record_of(same) != report.record_of(new):
            first.append(Remember(report.record_of(new)))
        self._follow_plan(same, new, first, last)
        self._follow_visible(same, new, last)
        self._follow_progress(same, new)

    def _follow_plan(self, old: Run | None, new: Run, first: list[Action], last: list[Action]) -> None:
        same_places = old is not None and old.order is new.order and old.relays is new.relays
        if same_places and self._same_files:
            return
        port = self.before.nginx_port
        plan = report.plan_of(new, self.media, self.slates, port)
        if old is None or report.plan_of(old, self.before.media, self.before.slates, port) != plan:
            # Before a spawn the plan must lie there; otherwise after what the handlers asked for.
            starts = any(isinstance(each, Spawn) and each.run_id == new.run_id for each in self._actions)
            (first if starts else last).append(WritePlan(new.run_id, plan))

    def _follow_visible(self, old: Run | None, new: Run, last: list[Action]) -> None:
        seen = report.visible(new, self.media)
        if old is not None and report.visible(old, self.before.media) == seen:
            return
        last.append(Poke())
        if new.on_air_since is not None and new.stopping_since is None:
            self.tell_streaming(new)

    def _follow_progress(self, old: Run | None, new: Run) -> None:
        if new.stopping_since is not None or new.told == "streaming":
            return
        stage = report.stage_of(new, self.media)
        if stage == "downloading":
            self._follow_download(old, new)
            return
        told = report.ORDER_OF_STAGES.index(new.told)
        for each in report.ORDER_OF_STAGES[told + 1 : report.ORDER_OF_STAGES.index(stage) + 1]:
            if words := report.words_for(each, new, self.media):
                self.progress(new, each, report.PERCENT[each], words)
        if report.ORDER_OF_STAGES.index(stage) > told:
            self.put(replace(new, told=stage))

    def _follow_download(self, old: Run | None, new: Run) -> None:
        percent, words = report.downloading(new, self.media)
        if new.told in ("", "downloading") and (
            old is None or report.downloading(old, self.before.media)[0] != percent or new.told == ""
        ):
            self.progress(new, "downloading", percent, words)
            self.put(replace(new, told="downloading"))

    def _files_are_same(self) -> bool:
        return self.media == self.before.media and self.slates == self.before.slates

    def _want_slates(self) -> None:
        """Asks for those that are wanted and not on their way."""
        wanted = {shelf.made_key(DEFAULT): shelf.Wanted(DEFAULT, None)}
        for run in self.runs.values():
            if run.stopping_since is None:
                wanted |= shelf.wanted(run.order, self.media, self.slates)
        for key, what in wanted.items():
            if key not in self.slates and self.leaving_since is None:
                self.slates[key] = Slate()
                self.do(MakeSlate(key, what.profile, what.file))

    def _same_orders(self) -> bool:
        orders = [run.order for run in self.runs.values()]
        before = [run.order for run in self.before.runs.values()]
        return len(orders) == len(before) and not any(map(is_not, orders, before))

    def _hold(self, first: list[Action]) -> None:
        held = _held(self.runs, self.media)
        if held != _held(self.before.runs, self.before.media):
            first.insert(0, Hold(held))


def _held(runs: Mapping[int, Run], media: Mapping[str, Media]) -> frozenset[str]:
    orders = [run.order for run in runs.values()]
    return frozenset(shelf.held(orders, media) | {key for order in orders for key in order.files})
