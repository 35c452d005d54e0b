"""The part of `decide` that begins, changes, replaces and ends runs. Pure."""

from __future__ import annotations

from dataclasses import replace

from agent import media, report, slates
from agent.actions import AskToStop, Poke, Spawn
from agent.protocol import StartStream, StopStream, StreamConfig, UpdateStream
from agent.state import REPLACED, STOPPED, Ended, Order, Run, Verdict
from agent.turn import Turn
from agent.validate import why_not


def start(turn: Turn, event: StartStream) -> None:
    order = turn.order(event.config, event.timestamp)
    held = turn.runs.get(event.config.id)
    if turn.leaving_since is not None:
        turn.note("warning", "start refused: this agent is shutting down", held)
    elif not _has_ended(turn, event.config):
        _begin_or_change(turn, order, held)


def update(turn: Turn, event: UpdateStream) -> None:
    start(turn, StartStream(config=event.config, timestamp=event.timestamp))


def _has_ended(turn: Turn, config: StreamConfig) -> bool:
    ended = turn.ended.get(config.run_id)
    if ended is None or config.epoch > ended.epoch:
        return False
    turn.tell_end(config.id, config.run_id, ended.epoch, ended.verdict)
    return True


def _begin_or_change(turn: Turn, order: Order, held: Run | None) -> None:
    if held is None:
        begin(turn, order)
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


def begin(turn: Turn, order: Order, *, resume: bool = False, restarts: int = 0, failures: int = 0) -> None:
    bad = why_not(order.config)
    reason = bad or _full(turn)
    if reason:
        turn.refuse(order, reason, permanent=bad is not None)
        return
    run = Run(order=order, begun_at=turn.now, restarts=restarts, failures=failures)
    turn.ended.pop(run.run_id, None)
    turn.note("info", "run begins", run)
    media.obtain(turn, turn.put(run))
    slates.obtain(turn, run)
    fail_if_hopeless(turn, run.stream_id)
    if run.stream_id in turn.runs:
        spawn(turn, turn.runs[run.stream_id], resume=resume)


def _full(turn: Turn) -> str | None:
    most = turn.before.max_streams
    if most is not None and len(turn.runs) >= most:
        return f"this server holds {len(turn.runs)} streams already"
    return None


def _change(turn: Turn, held: Run, order: Order) -> None:
    """The same run again: what differs is applied, and what is held is told once more."""
    reason = why_not(order.config, on_air=True)
    if reason:
        turn.note("warning", f"update refused: {reason}", held)
        return
    gone = set(held.files) - set(order.files)
    run = turn.put(replace(held, order=order))
    media.let_go(turn, gone, keep=True)
    media.obtain(turn, run)
    slates.obtain(turn, run)
    fail_if_hopeless(turn, run.stream_id)
    if run.on_air_since is not None:
        turn.tell_streaming(turn.runs[run.stream_id])
    turn.do(Poke())


def _replace(turn: Turn, held: Run, order: Order) -> None:
    if held.successor is not None and held.successor.config.run_id != order.config.run_id:
        turn.end_as(held.successor, REPLACED)
    turn.note("info", "a newer run takes the place of this one", held)
    stop_run(turn, turn.put(replace(held, successor=order)), REPLACED)


def stop(turn: Turn, event: StopStream) -> None:
    held = turn.runs.get(event.stream_id)
    if held is None or not _is_meant(held.order, event):
        _note_stop(turn, event, None)
        _stop_unheld(turn, held, event)
        return
    if held.successor is not None and _is_meant(held.successor, event):
        turn.end_as(held.successor, STOPPED)
        held = turn.put(replace(held, successor=None))
    _note_stop(turn, event, held)
    stop_run(turn, held, STOPPED)


def _note_stop(turn: Turn, event: StopStream, run: Run | None) -> None:
    """Every click is named, also one that comes when a heartbeat's answer has stopped the run already."""
    if event.request_id or (run is not None and run.stopping_since is None):
        run_id = run.run_id if run else event.run_id
        request_id = event.request_id or None
        turn.note("info", "told to stop", stream_id=event.stream_id, run_id=run_id, request_id=request_id)


def _is_meant(order: Order, event: StopStream) -> bool:
    """A stop that was said of an epoch comes too late for the next one: the run has moved here again since."""
    if event.run_id is None:
        return True
    return order.config.run_id == event.run_id and (event.epoch is None or order.config.epoch <= event.epoch)


def _stop_unheld(turn: Turn, held: Run | None, event: StopStream) -> None:
    successor = held.successor if held else None
    if held and successor and _is_meant(successor, event):
        turn.put(replace(held, successor=None))
        turn.end_as(successor, STOPPED)
        return
    ended = turn.ended.get(event.run_id or "")
    if event.run_id and event.epoch is not None and (ended is None or ended.epoch < event.epoch):
        # Its start may be behind it on the way: that comes too late then.
        turn.ended[event.run_id] = Ended(stream_id=event.stream_id, epoch=event.epoch, verdict=STOPPED)
    turn.tell_end(event.stream_id, event.run_id or "", event.epoch, STOPPED)


def spawn(turn: Turn, run: Run, *, resume: bool) -> None:
    turn.put(replace(run, spawning=True, retry_at=None, spawned_at=turn.now, playing=None, said_unreached=False))
    turn.do(Spawn(run.stream_id, run.run_id, resume))


def stop_run(turn: Turn, run: Run, verdict: Verdict) -> None:
    if run.stopping_since is not None:
        return
    if not run.has_process:
        end(turn, run, verdict)
        return
    rung = 1 if run.pid is not None else 0
    turn.put(replace(run, stopping_since=turn.now, rung=rung, verdict=verdict, retry_at=None))
    if run.pid is not None:
        turn.do(AskToStop(run.run_id))


def end(turn: Turn, run: Run, verdict: Verdict) -> None:
    """The run has no process any more: say so, and let what waited behind it begin."""
    del turn.runs[run.stream_id]
    turn.note("error" if verdict.status == "ERROR" else "info", f"run ended: {verdict.message}", run)
    if run.successor is None or run.successor.config.run_id != run.run_id:
        turn.end_as(run.order, verdict)
    if run.successor is not None and turn.leaving_since is None:
        begin(turn, run.successor)
    media.let_go(turn, set(run.files), keep=run.config.keep_files_after_stop)


def fail_if_hopeless(turn: Turn, stream_id: int) -> None:
    """A run that has nothing to play and never had. What was on air once stays there, with the slate."""
    run = turn.runs.get(stream_id)
    if run is None or run.stopping_since is not None or run.aired:
        return
    reasons = [report.failure(run, turn.media, item) for item in run.config.video_files]
    if reasons and all(reasons):
        words = "none of the files can be played" if len(reasons) > 1 else "the file cannot be played"
        for_good = not any(turn.media[key].retry_at for key in run.files if key in turn.media)
        stop_run(turn, run, Verdict(status="ERROR", message=f"{words}: {reasons[0]}", permanent=for_good))
