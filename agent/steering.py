"""The part of `decide` that passes orders on to what is on air, and tries destinations. Pure."""

from __future__ import annotations

from agent.actions import Publish, Steer, Try
from agent.events import SteerAnswered, TrialEnded
from agent.protocol import RETRY, STEERINGS, DestinationTested, PushUrl, Steered, SteerStream, TestDestination
from agent.state import Run
from agent.turn import Turn
from agent.validate import bad_destination

_NAMES_AN_ITEM = ("jump", "play_next")


def steer(turn: Turn, event: SteerStream) -> None:
    if event.order_id in turn.steered:
        _say_again(turn, event.order_id)
        return
    run = turn.runs.get(event.stream_id)
    reason = _why_not(run, event)
    if run is None or reason is not None:
        refused = SteerAnswered(event.stream_id, event.run_id, event.order_id, False, reason or "")
        turn.note("warning", f"an order is refused: {refused.message}", run, request_id=event.request_id or None)
        answered(turn, refused)
        return
    turn.note("info", f"told to {event.order}", run, request_id=event.request_id or None)
    turn.steered[event.order_id] = None
    about = (event.item_id, event.destination_id)
    turn.do(Steer(run.stream_id, run.run_id, event.order_id, event.order, *about))


def _why_not(run: Run | None, event: SteerStream) -> str | None:
    if run is None:
        return "this stream is not held here"
    if run.run_id != event.run_id:
        return "another run of this stream is held here"
    if run.stopping_since is not None:
        return "the stream is being stopped"
    if run.pid is None:
        return "nothing is on air: the stream is being started" if run.spawning else "nothing is on air at the moment"
    if event.order not in (*STEERINGS, RETRY):
        return "there is no such order"
    if event.order in _NAMES_AN_ITEM and event.item_id not in {item.item_id for item in run.config.video_files}:
        return "there is no such item in the list"
    if event.order == "renew" and event.destination_id not in {push.id for push in run.config.push_urls}:
        return "there is no such destination"
    return None


def _say_again(turn: Turn, order_id: str) -> None:
    """The command came twice: carried out once, answered as often as asked."""
    before = turn.steered[order_id]
    if before is not None:
        turn.do(Publish(before))


def answered(turn: Turn, event: SteerAnswered) -> None:
    message = Steered(
        vps_id=turn.before.vps_id,
        timestamp=turn.now,
        stream_id=event.stream_id,
        run_id=event.run_id,
        order_id=event.order_id,
        ok=event.ok,
        message=event.message,
        item_id=event.item_id,
    )
    turn.steered[event.order_id] = message
    turn.do(Publish(message))


def test(turn: Turn, event: TestDestination) -> None:
    push = PushUrl(id=0, name="test", url=event.url, key=event.key, via=event.via)
    bad = bad_destination(push)
    if bad is not None:
        tested(turn, TrialEnded(event.test_id, "failed", bad, 0))
    else:
        turn.do(Try(event.test_id, push))


def tested(turn: Turn, event: TrialEnded) -> None:
    message = DestinationTested(
        vps_id=turn.before.vps_id,
        timestamp=turn.now,
        test_id=event.test_id,
        state=event.state,
        message=event.message,
        took_ms=event.took_ms,
    )
    turn.do(Publish(message))
