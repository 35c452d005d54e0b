"""The part of `decide` that looks after playouts: begun, heard, died, adopted, made to go. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Final

from agent import media, relays, runs, slates
from agent.actions import AskNext, AskToStop, Forget, Signal
from agent.events import Adopted, PlayoutExited, PlayoutHung, PlayoutStarted, PlayoutStatus
from agent.state import FINISHED, STOPPED, Order, Playing, Run, Verdict
from agent.turn import Turn
from agent.validate import cache_key

BACK_OFF: Final = (30.0, 60.0, 120.0)
PROVEN_SECONDS: Final = 60.0
"""On air this long: what comes after is a new failure, not the same one again."""
BAD_PLAN: Final = "plan: "
"""How a playout's last words begin that could not read its plan."""
KILLED: Final = "it was killed"
"""Of a playout that left no last words."""
TERM_AFTER: Final = 3.0
KILL_AFTER: Final = 10.0
RESUME_WITHIN: Final = 15.0
"""No agent here for less than this: a run whose playout died too is taken up again without being told."""


def _held(turn: Turn, stream_id: int, run_id: str) -> Run | None:
    run = turn.runs.get(stream_id)
    return run if run is not None and run.run_id == run_id else None


def started(turn: Turn, event: PlayoutStarted) -> None:
    run = _held(turn, event.stream_id, event.run_id)
    if run is None:
        turn.note("error", "a playout began that nobody holds")
        return
    run = turn.put(replace(run, spawning=False, pid=event.pid, ticks=event.ticks))
    if run.stopping_since is not None:
        turn.put(replace(run, rung=1))
        turn.do(AskToStop(run.run_id))


def status(turn: Turn, event: PlayoutStatus) -> None:
    run = turn.run_of(event.run_id)
    if run is None or run.pid is None:
        return
    before, run = run.playing, turn.put(replace(run, playing=event.playing))
    if before != event.playing and _is_stranded(turn, run, before):
        turn.note("warning", "the file on air ended with the agent before this one", run)
        turn.do(AskNext(run.run_id))
    if run.on_air_since is None and event.playing.reaches_somebody:
        turn.put(replace(run, on_air_since=turn.now))
        turn.note("info", "on air", run)
    if event.playing.shows_an_item and event.playing.reaches_somebody and not run.aired:
        turn.put(replace(turn.runs[run.stream_id], aired=True))


def hung(turn: Turn, event: PlayoutHung) -> None:
    run = _held(turn, event.stream_id, event.run_id)
    if run is not None and run.pid == event.pid and run.stopping_since is None:
        turn.note("warning", "the playout hangs: it is ended", run, will_retry=True)
        turn.do(Signal(run.run_id, signal.SIGKILL))


def _is_stranded(turn: Turn, run: Run, before: Playing | None) -> bool:
    """Waiting for more of a file that an earlier agent was preparing: it is made anew elsewhere. On the slate no
    item is named any more, so the one before it counts.
    """
    playing = run.playing
    if not run.adopted or playing is None or playing.paused or playing.phase not in ("waiting", "slate"):
        return False
    item_id = before.item_id if playing.item_id is None and before is not None else playing.item_id
    keys = [cache_key(item) for item in run.config.video_files if item.item_id == item_id and not item.live_url]
    return any(key not in turn.media or turn.media[key].status != "complete" for key in keys)


def exited(turn: Turn, event: PlayoutExited) -> None:
    run = _held(turn, event.stream_id, event.run_id)
    if run is None or event.pid != run.pid:
        return
    on_air_s = None if run.on_air_since is None else turn.now - run.on_air_since
    run = replace(run, spawning=False, pid=None, ticks=None, on_air_since=None, playing=None, adopted=False)
    run = turn.put(replace(run, restart_reason=event.reason or KILLED))
    if run.stopping_since is not None:
        runs.end(turn, run, run.verdict or STOPPED)
    elif event.reason == "finished":
        runs.end(turn, run, FINISHED)
    elif event.reason is not None and event.reason.startswith(BAD_PLAN):
        # It is written the same again: another process would end the same way.
        words = event.reason.removeprefix(BAD_PLAN)
        runs.end(turn, run, Verdict(status="ERROR", message=f"the playout could not read its plan: {words}"))
    elif on_air_s is not None and (on_air_s >= PROVEN_SECONDS or not run.hurried):
        _hurry(turn, run, event, proven=on_air_s >= PROVEN_SECONDS)
    else:
        _back_off(turn, run, event)


def _hurry(turn: Turn, run: Run, event: PlayoutExited, *, proven: bool) -> None:
    """It died on air: viewers wait. Once; from then on it must stay up for a while before that is done again."""
    turn.note("warning", "the playout died on air", run, error_type=_kind(event), will_retry=True)
    failures = 0 if proven else run.failures
    run = turn.put(replace(run, hurried=True, failures=failures, restarts=run.restarts + 1))
    runs.spawn(turn, run, resume=True)


def _back_off(turn: Turn, run: Run, event: PlayoutExited) -> None:
    tries = run.failures
    again = tries < len(BACK_OFF)
    turn.note(
        "warning" if again else "error",
        "the playout failed",
        run,
        error_type=_kind(event),
        retry_count=tries,
        will_retry=again,
    )
    if not again:
        message = f"the playout failed {tries + 1} times: {run.restart_reason}"
        runs.end(turn, run, Verdict(status="ERROR", message=message))
        return
    turn.put(replace(run, failures=tries + 1, retry_at=turn.now + BACK_OFF[tries]))


def _kind(event: PlayoutExited) -> str:
    return event.reason or "killed"


def adopted(turn: Turn, event: Adopted) -> None:
    record = event.record
    order = turn.order(record.config, record.said_at)
    held = turn.runs.get(order.config.id)
    if held is not None:
        _keep_newer(turn, held, order)
        held = turn.runs.get(order.config.id)
    if held is not None:
        turn.do(Forget(order.config.run_id))
    elif event.alive:
        _take_over(turn, order, event)
    elif record.stopping:
        turn.end_as(order, STOPPED)
    elif event.reason == "finished":
        turn.end_as(order, FINISHED)
    elif event.away_s <= RESUME_WITHIN:
        runs.begin(turn, order, resume=True, restarts=record.restarts + 1, failures=record.failures)
    if order.config.id not in turn.runs:
        turn.do(Forget(order.config.run_id))


def _keep_newer(turn: Turn, held: Run, order: Order) -> None:
    """Two runs of one stream in the journal: the agent died between them. Only one may push its keys."""
    if order.said_at > held.order.said_at:
        del turn.runs[held.stream_id]
        turn.do(Signal(held.run_id, signal.SIGKILL))
    else:
        turn.do(Signal(order.config.run_id, signal.SIGKILL))


def _take_over(turn: Turn, order: Order, event: Adopted) -> None:
    record = event.record
    run = Run(
        order=order,
        begun_at=turn.now,
        pid=record.pid,
        ticks=record.ticks,
        spawned_at=turn.now,
        adopted=True,
        on_air_since=record.on_air_since,
        aired=record.on_air_since is not None,
        failures=record.failures,
        hurried=record.hurried,
        restarts=record.restarts,
        relays=relays.assumed(order.config),
        told="streaming" if record.on_air_since is not None else "",
    )
    turn.note("info", "a playout on air is adopted", turn.put(run))
    media.obtain(turn, run)
    slates.obtain(turn, run)
    if record.stopping:
        runs.stop_run(turn, run, STOPPED)


def climb(turn: Turn, run: Run, waited: float) -> None:
    if run.pid is None:
        return
    if waited >= KILL_AFTER and run.rung < 3:
        turn.put(replace(run, rung=3))
        turn.do(Signal(run.run_id, signal.SIGKILL))
    elif waited >= TERM_AFTER and run.rung < 2:
        turn.put(replace(run, rung=2))
        turn.do(Signal(run.run_id, signal.SIGTERM))
