"""What holds for `decide` after any history whatever."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent import actions, events
from agent.profile import DEFAULT, Profile
from agent.protocol import SlateFile, StartStream, Steered, SteerStream, StopStream, StreamStatus
from agent.tests.histories import History, config, playing

STREAMS = st.sampled_from([1, 2])
RUNS = st.sampled_from(["a", "b", "c"])
EPOCHS = st.sampled_from([1, 2])
PROFILES = st.sampled_from([DEFAULT, Profile(640, 360, DEFAULT.fps, 48000, 1), None])
SLATES = st.sampled_from(
    [None, SlateFile(file_id=9, kind="picture", filename="s", download_url="https://f.example/s", size=10)]
)


class World(RuleBasedStateMachine):
    """The agent's neighbours: processes, files and journals as its actions leave them."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.pids = iter(range(1, 10_000))
        self.ordered: list[actions.Spawn] = []
        self.alive: dict[int, tuple[int, str]] = {}
        self.journals: dict[str, int] = {}
        self.plans: set[str] = set()
        self.wanted: set[str] = set()
        self.ended: dict[str, int] = {}
        self.slates: set[str] = set()
        self.steered: list[actions.Steer] = []
        self.orders = iter(range(10_000))

    def tell(self, event: events.Event, after: float = 0.0) -> None:
        before = self.history.state
        for action in self.history.tell(event, after):
            self.perform(action, before)

    def perform(self, action: actions.Action, before) -> None:
        match action:
            case actions.Remember(record):
                self.journals[record.config.run_id] = record.config.id
            case actions.Forget(run_id):
                del self.journals[run_id]
                self.plans.discard(run_id)
            case actions.WritePlan(run_id, plan):
                assert run_id in self.journals
                self.plans.add(run_id)
                shown = {plan["slate"], *(each["slate"] for each in plan["items"])} - {None}
                assert shown <= {each.path for each in self.history.state.slates.values()}
            case actions.MakeSlate(key, _, _):
                assert key not in self.slates, "asked for once"
                self.slates.add(key)
            case actions.Steer(stream_id, run_id):
                assert (stream_id, run_id) in self.alive.values(), "no order for what is not there"
                self.steered.append(action)
            case actions.Spawn(stream_id, run_id, _):
                assert run_id in self.journals, "journal before process"
                assert run_id in self.plans, "plan before process"
                epoch = self.history.state.runs[stream_id].config.epoch
                assert self.ended.get(run_id, 0) < epoch, "an ended run never comes back"
                self.ordered.append(action)
            case actions.Obtain(key, _, _):
                self.wanted.add(key)
            case actions.Abandon(key) | actions.Delete(key):
                self.wanted.discard(key)
                assert not any(key in run.files for run in self.history.state.runs.values())
            case actions.Publish(Steered() as answer):
                assert answer.order_id == self.asked
            case actions.Publish(StreamStatus() as status) | actions.Report(status):
                self.note_end(status, before)

    def note_end(self, status: StreamStatus, before) -> None:
        held = before.runs.get(status.stream_id)
        if status.status != "STREAMING" and held and held.run_id == status.run_id:
            self.ended[status.run_id] = held.config.epoch

    # ------------------------------------------------------------------------------------ what can happen

    @rule(
        stream=STREAMS,
        run=RUNS,
        epoch=EPOCHS,
        items=st.integers(0, 3),
        late=st.booleans(),
        keep=st.booleans(),
        slate=SLATES,
    )
    def start(
        self, stream: int, run: str, epoch: int, items: int, late: bool, keep: bool, slate: SlateFile | None
    ) -> None:
        more = {"items": items, "keep_files_after_stop": keep, "slate": slate}
        wanted = config(f"{run}{stream}", stream=stream, epoch=epoch, **more)
        said = self.history.now - (1000 if late else 0)
        self.tell(StartStream(config=wanted, timestamp=said), after=1)

    @rule(stream=STREAMS, run=st.one_of(st.none(), RUNS))
    def stop(self, stream: int, run: str | None) -> None:
        named = None if run is None else f"{run}{stream}"
        self.tell(StopStream(stream_id=stream, run_id=named, timestamp=self.history.now), after=1)

    @rule(seconds=st.sampled_from([0.5, 3.5, 11, 65, 200]))
    def time_goes_on(self, seconds: float) -> None:
        self.tell(events.Tick(), after=seconds)

    @rule(works=st.booleans())
    def a_spawn_is_answered(self, works: bool) -> None:
        if not self.ordered:
            return
        order = self.ordered.pop(0)
        if not works:
            self.tell(events.PlayoutExited(order.stream_id, order.run_id, None, "no memory"))
            return
        pid = next(self.pids)
        self.alive[pid] = (order.stream_id, order.run_id)
        self.tell(events.PlayoutStarted(order.stream_id, order.run_id, pid, pid))

    @rule(which=st.integers(0, 3), reason=st.sampled_from([None, "stopped", "finished", "KeyError"]))
    def a_playout_ends(self, which: int, reason: str | None) -> None:
        if self.alive:
            pid = list(self.alive)[which % len(self.alive)]
            stream_id, run_id = self.alive.pop(pid)
            self.tell(events.PlayoutExited(stream_id, run_id, pid, reason))

    @rule(which=st.integers(0, 3), state=st.sampled_from(["live", "connecting", "refused"]))
    def a_playout_speaks(self, which: int, state: str) -> None:
        if self.alive:
            _, run_id = list(self.alive.values())[which % len(self.alive)]
            self.tell(events.PlayoutStatus(run_id, playing(state=state)))

    @rule(stream=STREAMS, run=RUNS, again=st.booleans())
    def somebody_steers(self, stream: int, run: str, again: bool) -> None:
        self.asked = f"o{next(self.orders)}"
        order = SteerStream(
            stream_id=stream, run_id=f"{run}{stream}", order_id=self.asked, order="next", timestamp=self.history.now
        )
        before = len(self.steered)
        self.tell(order)
        if again:
            self.tell(order)
        assert len(self.steered) <= before + 1, "carried out once"

    @rule(ok=st.booleans())
    def an_order_is_answered(self, ok: bool) -> None:
        if self.steered:
            order = self.steered.pop(0)
            self.asked = order.order_id
            self.tell(events.SteerAnswered(order.stream_id, order.run_id, order.order_id, ok))

    @rule(which=st.integers(0, 5), how=st.sampled_from(["ready", "broken", "bad", "evicted"]))
    def a_slate_comes_on(self, which: int, how: str) -> None:
        if how == "evicted":
            there = sorted(self.history.state.slates.keys() - self.slates)
            self.tell(events.MediaEvicted(there[which % len(there)] if there else "slate-none"))
        elif self.slates:
            key = sorted(self.slates)[which % len(self.slates)]
            self.slates.discard(key)
            ready = events.SlateReady(key, f"/c/{key}.flv")
            self.tell(ready if how == "ready" else events.SlateFailed(key, how, how == "bad"))

    @rule(which=st.integers(0, 5), how=st.sampled_from(["ready", "complete", "broken", "bad"]), profile=PROFILES)
    def a_file_comes_on(self, which: int, how: str, profile: Profile | None) -> None:
        if not self.wanted:
            return
        key = sorted(self.wanted)[which % len(self.wanted)]
        if how == "ready":
            self.tell(events.MediaReady(key, f"/c/{key}.flv", profile))
            return
        self.wanted.discard(key)
        if how == "complete":
            self.tell(events.MediaComplete(key, f"/c/{key}.flv", 4.0, (), profile))
        else:
            self.tell(events.MediaFailed(key, how, how == "bad"))

    # ------------------------------------------------------------------------------------ what always holds

    @invariant()
    def one_playout_per_stream(self) -> None:
        streams = [stream for stream, _ in self.alive.values()] + [each.stream_id for each in self.ordered]
        assert len(streams) == len(set(streams))

    @invariant()
    def no_playout_without_its_run(self) -> None:
        held = {run.run_id for run in self.history.state.runs.values()}
        assert {run_id for _, run_id in self.alive.values()} <= held
        for run in self.history.state.runs.values():
            assert run.has_process == (
                run.run_id in {each.run_id for each in self.ordered}
                or (run.stream_id, run.run_id) in self.alive.values()
            )

    @invariant()
    def a_journal_and_a_plan_for_each_run_held_and_no_other(self) -> None:
        held = {run.run_id for run in self.history.state.runs.values()}
        assert set(self.journals) == held == self.plans

    @invariant()
    def every_file_wanted_is_known(self) -> None:
        assert self.wanted <= set(self.history.state.media)

    @invariant()
    def a_slate_that_is_being_made_is_on_its_way(self) -> None:
        making = {key for key, one in self.history.state.slates.items() if one.status == "making"}
        assert making == self.slates

    def teardown(self) -> None:
        """Told to stop everything, it comes to rest with nothing left."""
        for stream in (1, 2):
            self.tell(StopStream(stream_id=stream, timestamp=self.history.now))
        while self.ordered:
            self.a_spawn_is_answered(True)
        while self.alive:
            self.a_playout_ends(0, None)
        assert not self.history.state.runs
        assert not self.journals
        assert not self.wanted


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
