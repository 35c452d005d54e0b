"""Whether a live input may be on air. Pure: `now` is monotonic seconds and comes as an argument.

What decides is what a viewer would see. A virtual player begins with the first tag and plays at the pace of the
clock: an input that comes in pieces (HLS) is well as long as the player does not run dry, and one that sends
without its media moving on is not.
"""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["on", "away", "returning"]

STALLED_S: Final = 3.0
STABLE_S: Final = 10.0
GAP_S: Final = 1.0
SLACK_S: Final = 0.5
"""How far behind what has come the player plays: the network's jitter."""
FIRST_TAG_S: Final = 15.0
RECORDING_S: Final = 60.0
"""Nothing that happens now is so far ahead of the clock."""
HICCUP_S: Final = 1.0
CONNECTING: Final = "connecting"
NOTHING_COMES: Final = "nothing comes from the live input"


@dataclass(slots=True)
class _Run:
    """One FFmpeg. The player is at `anchor_ms` at `anchor`; all is well since `good`, `good_ms`; the media was at
    `mark_ms` at `mark`.
    """

    anchor: float
    anchor_ms: int
    good: float
    good_ms: int
    mark: float
    mark_ms: int
    first: float
    heard: float
    newest_ms: int

    def lag_s(self, now: float) -> float:
        """How long the player has had nothing to play; negative: how much it still has."""
        return now - self.anchor - (self.newest_ms - self.anchor_ms) / 1000

    def shift(self, by_s: float) -> None:
        self.anchor += by_s
        self.good += by_s
        self.mark += by_s
        self.first += by_s
        self.heard += by_s


class InputMonitor:
    """`state`, `reason` why it is not on, `changed_at`. The first time it is on as soon as it has sent for
    `settle_s`; once it has been away it must prove itself.
    """

    def __init__(self, now: float, settle_s: float = 0.0) -> None:
        self.state: State = "away"
        self.reason: str | None = CONNECTING
        self.changed_at = now
        self._settle_s = settle_s
        self._proving = False
        self._started = self._ticked = now
        self._run: _Run | None = None

    @property
    def ready(self) -> bool:
        return self.state == "on"

    def begin(self, now: float) -> None:
        """A new FFmpeg: its timestamps begin anywhere."""
        self._run = None
        self._started = now
        if self.state != "away":
            self._become("away", CONNECTING, now)

    def media(self, now: float, stamp_ms: int) -> bool:
        """A tag that was parsed. True: its time does not follow the one before it."""
        run = self._run
        if run is None:
            self._run = self._new_run(now, stamp_ms)
            self._become("returning", self.reason, now)
            return False
        jumped = abs(stamp_ms - run.newest_ms) > GAP_S * 1000
        if jumped or run.lag_s(now) > GAP_S:
            run.anchor, run.anchor_ms = now + SLACK_S, stamp_ms
            run.good, run.good_ms = now, stamp_ms
        if jumped:
            run.mark, run.mark_ms = now, stamp_ms
        run.newest_ms = stamp_ms if jumped else max(run.newest_ms, stamp_ms)
        run.heard = now
        return jumped

    def waits(self, now: float) -> None:
        """We take nothing of it at the moment: what does not come is not its fault, and the player waits too."""
        run = self._run
        if run is not None:
            run.heard = now
            run.mark, run.mark_ms = now, run.newest_ms
            run.anchor += max(0.0, run.lag_s(now))

    def down(self, now: float, reason: str) -> None:
        """FFmpeg ended."""
        self._run = None
        self._become("away", reason, now)

    def tick(self, now: float) -> str | None:
        """Several times a second. A reason: FFmpeg should be ended, nothing good will come of it."""
        self._forgive_hiccup(now)
        run = self._run
        if run is None:
            late = now - self._started >= FIRST_TAG_S
            return NOTHING_COMES if late else None
        reason = self._stalled(run, now)
        if reason is None and self.state != "on" and self._proven(run, now):
            self._proving = True
            self._become("on", None, now)
        return reason

    def playhead_ms(self, now: float) -> int | None:
        """Where a player that follows the input would be; None before its first tag."""
        run = self._run
        if run is None:
            return None
        return min(run.newest_ms, run.anchor_ms + int((now - run.anchor) * 1000))

    def _new_run(self, now: float, stamp_ms: int) -> _Run:
        return _Run(now + SLACK_S, stamp_ms, now, stamp_ms, now, stamp_ms, now, now, stamp_ms)

    def _stalled(self, run: _Run, now: float) -> str | None:
        lag_s = run.lag_s(now)
        if -lag_s > RECORDING_S:
            return "the address is of a recording, not of something live"
        if lag_s >= 0 and now - run.heard >= STALLED_S:
            return f"the live input has sent nothing for {STALLED_S:.0f} s"
        if now - run.mark >= STALLED_S:
            slow = run.newest_ms - run.mark_ms < STALLED_S * 500
            if slow and lag_s >= 0 and now - run.heard < GAP_S:
                return "the live input sends, and does not move on"
            run.mark, run.mark_ms = now, run.newest_ms
        return None

    def _proven(self, run: _Run, now: float) -> bool:
        if run.lag_s(now) > GAP_S:
            return False
        if not self._proving:
            return now - run.first >= self._settle_s
        return now - run.good >= STABLE_S and run.newest_ms - run.good_ms >= STABLE_S * 1000

    def _forgive_hiccup(self, now: float) -> None:
        """We were stopped or starved ourselves: what did not come meanwhile is not the input's fault."""
        late_s = now - self._ticked - HICCUP_S
        self._ticked = now
        if late_s > 0:
            self._started += late_s
            if self._run is not None:
                self._run.shift(late_s)

    def _become(self, state: State, reason: str | None, now: float) -> None:
        if state != self.state:
            self.changed_at = now
        self.state, self.reason = state, reason
