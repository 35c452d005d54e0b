"""The agent's only brain: `decide(state, event, now) -> (state, actions)`, pure. `now` is unix seconds.

What it holds to:
* one run per stream, one playout per run; the next run of a stream begins when the old one's process is gone;
* a run that ended here never comes back under the same epoch;
* a playout that dies or hangs on air is replaced at once; one that never was, or dies again within a minute, after
  30, 60 and 120 s, then it is an ERROR;
* what was on air once stays there: when nothing of its list plays, the slate does;
* a run stops by steps: asked, SIGTERM after 3 s, SIGKILL after 10 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from agent import clock, media, playouts, relays, report, runs, slates, steering
from agent.actions import Action, Exit, Inquire, Poke, Publish
from agent.events import (
    Adopted,
    ClockSet,
    Event,
    Inquired,
    MediaCached,
    MediaComplete,
    MediaEvicted,
    MediaFailed,
    MediaProgress,
    MediaReady,
    PlayoutExited,
    PlayoutHung,
    PlayoutStarted,
    PlayoutStatus,
    RelaysLoaded,
    Shutdown,
    SlateFailed,
    SlateReady,
    SteerAnswered,
    Tick,
    TrialEnded,
)
from agent.protocol import (
    QUERIES,
    Answered,
    Ping,
    Pong,
    Query,
    StartStream,
    SteerStream,
    StopStream,
    TestDestination,
    UpdateStream,
)
from agent.state import STOPPED, Run, State
from agent.turn import Turn

UNREACHED_AFTER: Final = 30.0
LEAVE_WITHIN: Final = 9.0


def decide(state: State, event: Event, now: float) -> tuple[State, list[Action]]:
    turn = Turn(state, now)
    _HANDLERS[type(event)](turn, event)
    return turn.close()


def _tick(turn: Turn, event: Tick) -> None:
    for run in list(turn.runs.values()):
        if run.stopping_since is not None:
            playouts.climb(turn, run, turn.now - run.stopping_since)
        elif run.retry_at is not None and turn.now >= run.retry_at:
            runs.spawn(turn, turn.put(replace(run, restarts=run.restarts + 1)), resume=True)
        elif not run.said_unreached:
            _say_unreached(turn, run)
    media.retry_due(turn)
    slates.retry_due(turn)
    if turn.leaving_since is not None:
        _leave_when_done(turn)


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
            runs.stop_run(turn, run, STOPPED)
    _leave_when_done(turn)


def _leave_when_done(turn: Turn) -> None:
    began = turn.leaving_since if turn.leaving_since is not None else turn.now
    done = not turn.runs or (
        turn.before.on_exit == "handover" and all(run.stopping_since is None for run in turn.runs.values())
    )
    if done or turn.now - began >= LEAVE_WITHIN:
        turn.do(Exit())


def _ping(turn: Turn, event: Ping) -> None:
    pong = Pong(
        vps_id=turn.before.vps_id,
        timestamp=turn.now,
        active_streams=len(turn.runs),
        ping_timestamp=event.timestamp,
        queries=QUERIES,
    )
    turn.do(Publish(pong))


def _query(turn: Turn, event: Query) -> None:
    if event.what in QUERIES:
        turn.do(Inquire(event.query_id, event.what, event.lines))
    else:
        _answer(turn, Inquired(event.query_id, False, "this agent does not know the question"))


def _answer(turn: Turn, found: Inquired) -> None:
    answered = Answered(
        vps_id=turn.before.vps_id,
        timestamp=turn.now,
        query_id=found.query_id,
        ok=found.ok,
        message=found.message,
        processes=found.processes,
        lines=found.lines,
    )
    turn.do(Publish(answered))


def _media_failed(turn: Turn, event: MediaFailed) -> None:
    media.failed(turn, event)
    for stream_id in list(turn.runs):
        runs.fail_if_hopeless(turn, stream_id)


def _relays_loaded(turn: Turn, event: RelaysLoaded) -> None:
    run = turn.runs.get(event.stream_id)
    if run is None:
        return
    turn.put(relays.loaded(run, event))
    for reason in sorted({*event.failed.values()} - {*run.relays_failed.values()}):
        turn.note("warning", f"nginx does not push for a destination: {reason}", run)


_HANDLERS: Final[dict[type, Callable[[Turn, Any], None]]] = {
    StartStream: runs.start,
    UpdateStream: runs.update,
    StopStream: runs.stop,
    SteerStream: steering.steer,
    SteerAnswered: steering.answered,
    TestDestination: steering.test,
    TrialEnded: steering.tested,
    Query: _query,
    Inquired: _answer,
    Ping: _ping,
    PlayoutStarted: playouts.started,
    PlayoutStatus: playouts.status,
    PlayoutExited: playouts.exited,
    PlayoutHung: playouts.hung,
    RelaysLoaded: _relays_loaded,
    Adopted: playouts.adopted,
    ClockSet: clock.was_set,
    Tick: _tick,
    Shutdown: _shutdown,
    MediaCached: media.cached,
    MediaEvicted: media.evicted,
    MediaProgress: media.progress,
    MediaReady: media.ready,
    MediaComplete: media.complete,
    MediaFailed: _media_failed,
    SlateReady: slates.ready,
    SlateFailed: slates.failed,
}
