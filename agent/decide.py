"""The agent's only brain: `decide(state, event, now) -> (state, actions)`, pure. `now` is unix seconds.

What it holds to:
* one run per stream, one playout per run; the next run of a stream begins when the old one's process is gone;
* a run that ended here never comes back under the same epoch;
* a playout that dies is replaced (30, 60, 120 s, then ERROR); at once when it had been on air for a minute;
* a run stops by steps: asked, SIGTERM after 3 s, SIGKILL after 10 s.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from agent import media, report
from agent.actions import Action, AskToStop, Exit, Forget, Poke, Publish, Signal, Spawn
from agent.events import (
    Adopted,
    Event,
    MediaCached,
    MediaComplete,
    MediaEvicted,
    MediaFailed,
    MediaProgress,
    MediaReady,
    PlayoutExited,
    PlayoutStarted,
    PlayoutStatus,
    Shutdown,
    Tick,
)
from agent.protocol import Ping, Pong, StartStream, StopStream, StreamConfig, UpdateStream
from agent.state import FINISHED, REPLACED, STOPPED, Order, Run, State, Verdict
from agent.turn import Turn
from agent.validate import why_not

BACK_OFF: Final = (30.0, 60.0, 120.0)
PROVEN_SECONDS: Final = 60.0
"""On air this long: what comes after is a new failure, not the same one again."""
TERM_AFTER: Final = 3.0
KILL_AFTER: Final = 10.0
UNREACHED_AFTER: Final = 30.0
RESUME_WITHIN: Final = 15.0
"""No agent here for less than this: a run whose playout died too is taken up again without being told."""
LEAVE_WITHIN: Final = 9.0


def decide(state: State, event: Event, now: float) -> tuple[State, list[Action]]:
    turn = Turn(state, now)
    _HANDLERS[type(event)](turn, event)
    return turn.close()


# ------------------------------------------------------------------------------------------------ commands


def _start(turn: Turn, event: StartStream) -> None:
    order = Order(config=event.config, said_at=event.timestamp)
    held = turn.runs.get(event.config.id)
    if turn.leaving_since is not None:
        turn.note("warning", "start refused: this agent is shutting down", held)
    elif not _has_ended(turn, event.config):
        _begin_or_change(turn, order, held)


def _update(turn: Turn, event: UpdateStream) -> None:
    _start(turn, StartStream(config=event.config, timestamp=event.timestamp))


def _has_ended(turn: Turn, config: StreamConfig) -> bool:
    ended = turn.ended.get(config.run_id)
    if ended is None or config.epoch > ended.epoch:
        return False
    turn.tell_end(config.id, config.run_id, ended.verdict)
    return True


def _begin_or_change(turn: Turn, order: Order, held: Run | None) -> None:
    if held is None:
        _begin(turn, order)
        return
    newest = held.successor or held.order
    if _is_late(order, newest):
        turn.note("warning", "start refused: it is older than what is held", held)
    elif not _is_same(order, newest):
        _replace(turn, held, order)
    elif held.successor is not None:
        turn.put(replace(held, successor=order))
    elif held.stopping_since is None:
        _change(turn, held, order)


def _is_same(one: Order, other: Order) -> bool:
    return (one.config.run_id, one.config.epoch) == (other.config.run_id, other.config.epoch)


def _is_late(order: Order, newest: Order) -> bool:
    if order.config.run_id == newest.config.run_id:
        return order.config.epoch < newest.config.epoch
    return order.said_at < newest.said_at


def _begin(turn: Turn, order: Order, *, resume: bool = False, restarts: int = 0, failures: int = 0) -> None:
    reason = why_not(order.config) or _full(turn)
    if reason:
        turn.refuse(order, reason)
        return
    run = Run(order=order, begun_at=turn.now, restarts=restarts, failures=failures)
    turn.ended.pop(run.run_id, None)
    turn.note("info", "run begins", run)
    media.obtain(turn, turn.put(run))
    _fail_if_hopeless(turn, run.stream_id)
    if run.stream_id in turn.runs:
        _spawn(turn, turn.runs[run.stream_id], resume=resume)


def _full(turn: Turn) -> str | None:
    most = turn.before.max_streams
    if most is not None and len(turn.runs) >= most:
        return f"this server holds {len(turn.runs)} streams already"
    return None


def _change(turn: Turn, held: Run, order: Order) -> None:
    """The same run again: what differs is applied, and what is held is told once more."""
    reason = why_not(order.config)
    if reason:
        turn.note("warning", f"update refused: {reason}", held)
        return
    gone = set(held.keys) - set(Run(order=order, begun_at=0).keys)
    run = turn.put(replace(held, order=order))
    media.let_go(turn, gone, keep=True)
    media.obtain(turn, run)
    _fail_if_hopeless(turn, run.stream_id)
    if run.on_air_since is not None:
        turn.tell_streaming(turn.runs[run.stream_id])
    turn.do(Poke())


def _replace(turn: Turn, held: Run, order: Order) -> None:
    if held.successor is not None and held.successor.config.run_id != order.config.run_id:
        turn.end_as(held.successor, REPLACED)
    turn.note("info", "a newer run takes the place of this one", held)
    _stop_run(turn, turn.put(replace(held, successor=order)), REPLACED)


def _stop(turn: Turn, event: StopStream) -> None:
    held = turn.runs.get(event.stream_id)
    if held is None or event.run_id not in (None, held.run_id):
        _stop_unheld(turn, held, event)
        return
    if held.successor is not None and event.run_id is None:
        turn.end_as(held.successor, STOPPED)
        held = turn.put(replace(held, successor=None))
    _stop_run(turn, held, STOPPED)


def _stop_unheld(turn: Turn, held: Run | None, event: StopStream) -> None:
    successor = held.successor if held else None
    if held and successor and successor.config.run_id == event.run_id:
        turn.put(replace(held, successor=None))
        turn.end_as(successor, STOPPED)
    else:
        turn.tell_end(event.stream_id, event.run_id or "", STOPPED)


def _ping(turn: Turn, event: Ping) -> None:
    vps_id = turn.before.vps_id
    count = len(turn.runs)
    pong = Pong(vps_id=vps_id, timestamp=turn.now, active_streams=count, ping_timestamp=event.timestamp)
    turn.do(Publish(pong))


# --------------------------------------------------------------------------------------- beginning and ending


def _spawn(turn: Turn, run: Run, *, resume: bool) -> None:
    turn.put(replace(run, spawning=True, retry_at=None, spawned_at=turn.now, playing=None, said_unreached=False))
    turn.do(Spawn(run.stream_id, run.run_id, resume))


def _stop_run(turn: Turn, run: Run, verdict: Verdict) -> None:
    if run.stopping_since is not None:
        return
    if not run.has_process:
        _end(turn, run, verdict)
        return
    rung = 1 if run.pid is not None else 0
    turn.put(replace(run, stopping_since=turn.now, rung=rung, verdict=verdict, retry_at=None))
    if run.pid is not None:
        turn.do(AskToStop(run.run_id))


def _end(turn: Turn, run: Run, verdict: Verdict) -> None:
    """The run has no process any more: say so, and let what waited behind it begin."""
    del turn.runs[run.stream_id]
    turn.note("error" if verdict.status == "ERROR" else "info", f"run ended: {verdict.message}", run)
    if run.successor is None or run.successor.config.run_id != run.run_id:
        turn.end_as(run.order, verdict)
    if run.successor is not None and turn.leaving_since is None:
        _begin(turn, run.successor)
    media.let_go(turn, set(run.keys), keep=run.config.keep_files_after_stop)


def _fail_if_hopeless(turn: Turn, stream_id: int) -> None:
    run = turn.runs.get(stream_id)
    if run is None or run.stopping_since is not None:
        return
    reasons = [report.failure(run, turn.media, key) for key in run.keys]
    if all(reasons):
        words = "none of the files can be played" if len(reasons) > 1 else "the file cannot be played"
        _stop_run(turn, run, Verdict(status="ERROR", message=f"{words}: {reasons[0]}"))


# --------------------------------------------------------------------------------------------------- playouts


def _held(turn: Turn, stream_id: int, run_id: str) -> Run | None:
    run = turn.runs.get(stream_id)
    return run if run is not None and run.run_id == run_id else None


def _playout_started(turn: Turn, event: PlayoutStarted) -> None:
    run = _held(turn, event.stream_id, event.run_id)
    if run is None:
        turn.note("error", "a playout began that nobody holds")
        return
    run = turn.put(replace(run, spawning=False, pid=event.pid, ticks=event.ticks))
    if run.stopping_since is not None:
        turn.put(replace(run, rung=1))
        turn.do(AskToStop(run.run_id))


def _playout_status(turn: Turn, event: PlayoutStatus) -> None:
    run = turn.run_of(event.run_id)
    if run is None or run.pid is None:
        return
    run = turn.put(replace(run, playing=event.playing))
    if run.on_air_since is None and event.playing.reaches_somebody:
        turn.put(replace(run, on_air_since=turn.now))
        turn.note("info", "on air", run)


def _playout_exited(turn: Turn, event: PlayoutExited) -> None:
    run = _held(turn, event.stream_id, event.run_id)
    if run is None or event.pid != run.pid:
        return
    proven = run.on_air_since is not None and turn.now - run.on_air_since >= PROVEN_SECONDS
    run = turn.put(replace(run, spawning=False, pid=None, ticks=None, on_air_since=None, playing=None))
    if run.stopping_since is not None:
        _end(turn, run, run.verdict or STOPPED)
    elif event.reason == "finished":
        _end(turn, run, FINISHED)
    elif proven:
        turn.note("warning", "the playout died on air", run, error_type=_kind(event), will_retry=True)
        _spawn(turn, turn.put(replace(run, failures=0, restarts=run.restarts + 1)), resume=True)
    else:
        _back_off(turn, run, event)


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
        message = f"the playout failed {tries + 1} times: {event.reason or 'it was killed'}"
        _end(turn, run, Verdict(status="ERROR", message=message))
        return
    turn.put(replace(run, failures=tries + 1, retry_at=turn.now + BACK_OFF[tries]))


def _kind(event: PlayoutExited) -> str:
    return event.reason or "killed"


def _adopted(turn: Turn, event: Adopted) -> None:
    record = event.record
    order = Order(config=record.config, said_at=record.said_at)
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
        _begin(turn, order, resume=True, restarts=record.restarts + 1, failures=record.failures)
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
        on_air_since=record.on_air_since,
        failures=record.failures,
        restarts=record.restarts,
        told="streaming" if record.on_air_since is not None else "",
    )
    turn.note("info", "a playout on air is adopted", turn.put(run))
    media.obtain(turn, run)
    if record.stopping:
        _stop_run(turn, run, STOPPED)


# ---------------------------------------------------------------------------------------------------- time


def _tick(turn: Turn, event: Tick) -> None:
    for run in list(turn.runs.values()):
        if run.stopping_since is not None:
            _climb(turn, run, turn.now - run.stopping_since)
        elif run.retry_at is not None and turn.now >= run.retry_at:
            _spawn(turn, turn.put(replace(run, restarts=run.restarts + 1)), resume=True)
        elif not run.said_unreached:
            _say_unreached(turn, run)
    media.retry_due(turn)
    if turn.leaving_since is not None:
        _leave_when_done(turn)


def _climb(turn: Turn, run: Run, waited: float) -> None:
    if run.pid is None:
        return
    if waited >= KILL_AFTER and run.rung < 3:
        turn.put(replace(run, rung=3))
        turn.do(Signal(run.run_id, signal.SIGKILL))
    elif waited >= TERM_AFTER and run.rung < 2:
        turn.put(replace(run, rung=2))
        turn.do(Signal(run.run_id, signal.SIGTERM))


def _say_unreached(turn: Turn, run: Run) -> None:
    """Playing, and no destination takes it: no error of the run, but worth a word."""
    if run.on_air_since is not None or run.told != "ffmpeg_started" or run.spawned_at is None:
        return
    if turn.now - run.spawned_at >= UNREACHED_AFTER:
        turn.put(replace(run, said_unreached=True))
        words = "no destination has taken anything yet; still trying"
        turn.progress(run, "ffmpeg_started", report.PERCENT["ffmpeg_started"], words)


def _shutdown(turn: Turn, event: Shutdown) -> None:
    if turn.leaving_since is not None:
        return
    turn.leaving_since = turn.now
    turn.do(Poke())
    if turn.before.on_exit == "stop":
        for run in list(turn.runs.values()):
            _stop_run(turn, run, STOPPED)
    _leave_when_done(turn)


def _leave_when_done(turn: Turn) -> None:
    began = turn.leaving_since if turn.leaving_since is not None else turn.now
    done = not turn.runs or (
        turn.before.on_exit == "handover" and all(run.stopping_since is None for run in turn.runs.values())
    )
    if done or turn.now - began >= LEAVE_WITHIN:
        turn.do(Exit())


_HANDLERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    StartStream: _start,
    UpdateStream: _update,
    StopStream: _stop,
    Ping: _ping,
    PlayoutStarted: _playout_started,
    PlayoutStatus: _playout_status,
    PlayoutExited: _playout_exited,
    Adopted: _adopted,
    Tick: _tick,
    Shutdown: _shutdown,
    MediaCached: media.cached,
    MediaEvicted: media.evicted,
    MediaProgress: media.progress,
    MediaReady: media.ready,
    MediaComplete: media.complete,
    MediaFailed: lambda turn, event: _media_failed(turn, event),
}


def _media_failed(turn: Turn, event: MediaFailed) -> None:
    media.failed(turn, event)
    for stream_id in list(turn.runs):
        _fail_if_hopeless(turn, stream_id)
