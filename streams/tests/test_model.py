"""People, operators, actors, agents and faults in any order: in the end every stream is where its owner wants it, once.

`EZSTREAM_MODEL_EXAMPLES=500` makes a night of it."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from django.db.models import F
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import User
from fleet import slots
from fleet.models import Vps, VpsStatus
from media_library.actions import delete as delete_file
from media_library.errors import InUse
from media_library.models import VideoFile
from streams import actions, hanging, progress
from streams.errors import Refused
from streams.lifecycle import Event
from streams.models import Destination, Run, Status, Stream, Transition
from streams.tests import build
from streams.tests.world import World

VPSES, SLOTS, STREAMS = 3, 2, 3
QUIET_S = 200
"""The longest pause between two tries, and what is stated for the fleet to converge, with room."""
EXAMPLES = int(os.environ.get("EZSTREAM_MODEL_EXAMPLES", "30"))
which = st.integers(0, 2)
some_time = st.sampled_from([0, 5, 25, 40])

pytestmark = pytest.mark.django_db(transaction=True)


class Fleet(RuleBasedStateMachine):
    world: World
    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        for model in (Stream, Destination, VideoFile, Vps, User):
            model.objects.all().delete()
        self.world = Fleet.world = World()
        self.owner = build.user(package=self.package())
        for number in range(VPSES):
            vps = build.vps(f"vps-{number}", max_streams=SLOTS, last_heartbeat_at=self.world.clock())
            self.world.add(vps.pk, SLOTS)
        for number in range(STREAMS):
            build.stream(self.owner, f"stream {number}", files=1, outputs=1, max_restarts=1000)
        self.wanted: set[int] = set()
        """Streams somebody started and nobody stopped."""
        self.recount()

    def package(self):
        from accounts.models import Package

        return Package.objects.filter(name="model").first() or build.package(streams=STREAMS, name="model")

    def recount(self) -> None:
        used = sum(VideoFile.objects.values_list("size", flat=True))
        User.objects.filter(pk=self.owner.pk).update(storage_used=used)

    @initialize(started=st.integers(0, STREAMS), moved=st.booleans())
    def all_is_well(self, started: int, moved: bool = False) -> None:
        for _ in range(6):
            self.world.step()
        for n in range(started):
            self.start(n)
        self.world.step()
        if moved:
            self.does(actions.move, self.stream(0), None)

    def teardown(self) -> None:
        """Whatever happened: in the end all is mended."""
        try:
            self.quiet()
            self.seen.update(Transition.objects.values_list("event", flat=True))
        finally:
            super().teardown()

    # ------------------------------------------------------------------------------------ people

    def stream(self, n: int) -> Stream:
        rows = list(Stream.objects.order_by("pk"))
        return rows[n % len(rows)]

    def does(self, verb, *args) -> bool:
        """Refused is an answer too: False."""
        with progress.collecting():
            try:
                verb(*args)
            except (Refused, InUse):
                return False
        return True

    @rule(n=which, seconds=some_time)
    def start(self, n: int, seconds: int = 0) -> None:
        if self.does(actions.start, self.stream(n), self.owner):
            self.wanted.add(self.stream(n).pk)
        self.time_goes_on(seconds)

    @rule(n=which)
    def stop(self, n: int) -> None:
        self.wanted.discard(self.stream(n).pk)
        self.does(actions.stop, self.stream(n), self.owner)

    @rule(n=which)
    def stop_while_its_server_is_silent(self, n: int) -> None:
        """Nobody confirms it: its time runs out."""
        run = self.stream(n).run
        server = self.world.servers.get(run.vps_id) if run else None
        if server is not None:
            server.linked = False
            self.stop(n)
            self.time_goes_on(65)
            server.linked = True

    @rule(n=which)
    def force_stop(self, n: int) -> None:
        self.wanted.discard(self.stream(n).pk)
        self.does(actions.force_stop, self.stream(n), None)

    @rule(n=which, how=st.sampled_from(["move", "drain", "let finish"]), seconds=some_time)
    def go_elsewhere(self, n: int, how: str, seconds: int) -> None:
        """One stream, or all of a server for a while: then it is taken into service again."""
        if how == "move":
            self.does(actions.move, self.stream(n), None)
            self.time_goes_on(seconds)
            return
        vps = Vps.objects.filter(pk=self.server(n).vps_id)
        draining = {"status": VpsStatus.DRAINING, "drain_moves": how == "drain", "draining_since": self.world.clock()}
        vps.update(**draining, left_at=None)
        self.time_goes_on(seconds + 150)
        vps.update(status=VpsStatus.ACTIVE, drain_moves=False, draining_since=None)

    @rule(n=which)
    def change(self, n: int) -> None:
        stream = self.stream(n)
        spec = actions.editing.spec_of(stream)
        self.does(actions.edit, stream, type(spec)(**{**_fields(spec), "loop": not spec.loop}), self.owner)

    @rule(n=which)
    def delete_and_make_anew(self, n: int) -> None:
        gone = self.stream(n)
        self.does(actions.delete, gone, self.owner)
        if not Stream.objects.filter(pk=gone.pk).exists():
            build.stream(self.owner, "anew", files=1, outputs=1, max_restarts=1000)
            User.objects.filter(pk=self.owner.pk).update(
                storage_used=sum(VideoFile.objects.values_list("size", flat=True))
            )

    @rule(n=which)
    def delete_a_file(self, n: int) -> None:
        files = list(VideoFile.objects.order_by("pk"))
        self.does(delete_file, files[n % len(files)], self.owner)

    @rule()
    def look_at_a_page(self) -> None:
        with progress.collecting():
            hanging.force_stop_hanging(now=self.world.clock())

    # ------------------------------------------------------------------------------------ faults

    def server(self, n: int):
        return list(self.world.servers.values())[n]

    @rule(n=which)
    def server_dies(self, n: int) -> None:
        self.server(n).power_off()

    @rule(n=which)
    def server_dies_and_is_empty_within_30_s(self, n: int) -> None:
        """Its streams are on air elsewhere: two servers have room for all of them."""
        self.quiet()
        self.server(n).power_off()
        self.time_goes_on(30)
        assert self.unsettled() == []

    @rule(n=which)
    def server_comes_back(self, n: int) -> None:
        self.server(n).boot()

    @rule(n=which, how=st.sampled_from(["power", "agent", "link"]), seconds=some_time)
    def server_is_away(self, n: int, how: str, seconds: int) -> None:
        """The commonest fault, in one piece."""
        server = self.server(n)
        if how == "link":
            server.linked = False
        else:
            server.power_off() if how == "power" else server.kill_agent()
        self.time_goes_on(seconds)
        server.linked = True
        server.boot()

    @rule(only=which, loses=st.booleans())
    def only_one_server_is_left(self, only: int, loses: bool) -> None:
        """Then that one too: what runs comes back where it was, though it may not be told at first."""
        for n in range(VPSES):
            self.mend(n)
            self.server(n).linked = n == only
        self.world.working = True
        self.time_goes_on(60)
        self.server(only).linked = False
        self.time_goes_on(25)
        self.server(only).linked = True
        self.world.loses_commands = loses
        self.time_goes_on(130)
        self.world.loses_commands = False
        self.seen["back where it was"] += Run.objects.filter(epoch__gt=1, vps=F("left_vps")).count()

    @rule(n=which)
    def stopped_while_its_server_is_away(self, n: int) -> None:
        """It is off air on paper when the time is up, and in truth when the server hears us again."""
        cut = [server for server in self.world.servers.values() if server.linked]
        for server in cut:
            server.linked = False
        self.stop(n)
        self.time_goes_on(75)
        for server in cut:
            server.linked = True

    @rule(n=which)
    def agent_dies(self, n: int) -> None:
        self.server(n).kill_agent()

    @rule(n=which)
    def agent_is_restarted(self, n: int) -> None:
        self.server(n).kill_agent()
        self.server(n).boot()

    @rule(n=which)
    def list_comes_to_its_end(self, n: int) -> None:
        for playout in list(self.server(n).playouts.values()):
            self.wanted.discard(playout.stream_id)
            self.server(n).kill_playout(playout.run_id, "finished")

    @rule(n=which)
    def playout_dies(self, n: int) -> None:
        for run_id in list(self.server(n).playouts):
            self.server(n).kill_playout(run_id)

    @rule(n=which)
    def link_is_cut(self, n: int) -> None:
        self.server(n).linked = False

    @rule(n=which)
    def link_is_mended(self, n: int) -> None:
        self.server(n).linked = True

    @rule(n=which, hours=st.sampled_from([-1, 0, 1]))
    def clock_of_an_agent_steps(self, n: int, hours: int) -> None:
        self.server(n).skew = hours * 3600.0

    @rule(seconds=some_time)
    def redis_is_away(self, seconds: int) -> None:
        self.world.set_redis(False)
        self.time_goes_on(seconds)
        self.world.set_redis(True)

    @rule(n=which)
    def start_while_nobody_can_be_told(self, n: int) -> None:
        self.world.set_redis(False)
        self.start(n, 5)
        self.world.set_redis(True)

    @rule(seconds=some_time)
    def listener_is_away(self, seconds: int) -> None:
        self.world.up.clear()
        self.world.listening = False
        self.time_goes_on(seconds)
        self.world.begin_to_listen()
        self.world.listening = True

    @rule(up=st.booleans())
    def worker(self, up: bool) -> None:
        self.world.working = up

    # ------------------------------------------------------------------------------------ the wire and the queue

    @precondition(lambda self: self.world.queue)
    @rule(fate=st.sampled_from(["lost", "twice"]))
    def actor(self, fate: str) -> None:
        message = self.world.queue.popleft()
        self.world.queue.extend([message] * (2 if fate == "twice" else 0))

    @rule(fate=st.sampled_from(["lost", "twice", "late"]))
    def command(self, fate: str) -> None:
        """The next commands meet a fate: actors run, what they say is caught."""
        self.world._work()
        caught = list(self.world.down)
        self.world.down.clear()
        if fate == "twice":
            self.world.down.extend(caught * 2)
        elif fate == "late":
            self.world.late_down += caught

    @rule(fate=st.sampled_from(["lost", "twice", "late"]))
    def words(self, fate: str) -> None:
        """What agents have to say now meets a fate."""
        self.world._deliver_down()
        for server in self.world.servers.values():
            server.work()
        caught = list(self.world.up)
        self.world.up.clear()
        if fate == "twice":
            self.world.up.extend(caught * 2)
        elif fate == "late":
            self.world.late_up += caught

    @precondition(lambda self: self.world.late_up or self.world.late_down)
    @rule()
    def what_was_late_arrives(self) -> None:
        self.world.up.extend(self.world.late_up)
        self.world.down.extend(self.world.late_down)
        self.world.late_up, self.world.late_down = [], []
        self.world.doubled_s.clear()

    @rule(n=st.integers(0, 79), many=st.integers(1, 8), words=st.booleans())
    def echo_of_what_was_said(self, n: int, many: int, words: bool) -> None:
        """Messages from long ago come once more: of other runs, under old epochs, from before a restart."""
        past, line = (self.world.said, self.world.up) if words else (self.world.commanded, self.world.down)
        line.extend(list(past)[n : n + many])
        self.world.doubled_s.clear()
        self.world.settle()

    # ------------------------------------------------------------------------------------ time

    @rule(seconds=st.sampled_from([1.0, 5.0, 5.0, 20.0, 61.0, 301.0]))
    def time_goes_on(self, seconds: float) -> None:
        """In beats: a sweep that stood still would prove nothing."""
        while seconds > 0:
            self.world.step(min(5.0, seconds))
            seconds -= 5.0

    @invariant()
    def no_server_is_overfilled(self) -> None:
        for server in self.world.servers.values():
            assert slots.held(server.vps_id) <= SLOTS

    @invariant()
    def no_key_is_pushed_twice_for_longer_than_a_beat_and_the_way(self) -> None:
        assert not [key for key, seconds in self.world.doubled_s.items() if seconds > 15]

    @invariant()
    def on_air_is_said_only_of_what_was(self) -> None:
        rows = Stream.objects.filter(status=Status.STREAMING).values_list("run", "run__epoch", "run__vps")
        for run_id, epoch, vps_id in rows:
            assert vps_id is not None
            assert (str(run_id), epoch) in self.world.was_live

    @rule(absent=st.none() | which)
    def quiet(self, absent: int | None = None) -> None:
        """All is mended, but for one server perhaps: there is room elsewhere. What was late comes now. Then everything
        comes to rest, and stays there."""
        self.what_was_late_arrives()
        self.world.set_redis(True)
        self.world.working = True
        for n in range(VPSES):
            self.mend(n) if n != absent else self.server(n).power_off()
        for _ in range(0, QUIET_S, 5):
            self.world.step()
            if not self.unsettled():
                break
        for _ in range(4):
            assert self.unsettled() == []
            self.world.step()

    def mend(self, n: int) -> None:
        self.server(n).linked, self.server(n).skew = True, 0.0
        self.server(n).boot()

    def unsettled(self) -> list[str]:
        found = [words for stream in Stream.objects.select_related("run") for words in self.wrong(stream)]
        for server in self.world.servers.values():
            wanted = slots.held(server.vps_id)
            held = len(server.state.runs) if server.state else 0
            if held != wanted or len(server.playouts) != wanted:
                found.append(f"vps {server.vps_id}: slots {wanted}, holds {held}, plays {len(server.playouts)}")
        found += [f"{key} twice" for key, servers in self.world.pushing().items() if len(servers) > 1]
        owner = User.objects.get(pk=self.owner.pk)
        if owner.storage_used != sum(VideoFile.objects.values_list("size", flat=True)) or owner.storage_reserved:
            found.append("quota")
        return found

    def wrong(self, stream: Stream) -> list[str]:
        at = [
            (server.vps_id, playout.epoch)
            for server in self.world.servers.values()
            for playout in server.playouts.values()
            if playout.stream_id == stream.pk and playout.pushing
        ]
        run: Run = stream.run
        if stream.state.is_resting:
            was_given_up = stream.pk in self.wanted and run.on_air_at is not None
            return [f"{stream.pk} rests, but plays at {at}"] if at else ["given up"] if was_given_up else []
        if stream.state is Status.STREAMING and at == [(run.vps_id, run.epoch)]:
            return []
        return [f"{stream.pk} is {stream.state}, run at {run.vps_id} epoch {run.epoch}, plays at {at}"]


def _fields(spec) -> dict:
    return {name: getattr(spec, name) for name in spec.__slots__}


@pytest.fixture(autouse=True)
def made_up_wire(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: Fleet.world.clock())
    monkeypatch.setattr("fleet.commands.publish", lambda *args: Fleet.world.publish(*args))
    for module in ("streams.actions.running", "streams.converge", "streams.moving"):
        monkeypatch.setattr(f"{module}.send_after_commit", lambda *args, **more: Fleet.world.enqueue(*args, **more))


@pytest.mark.parametrize("away_s", [5, 30, 600])
def test_the_control_plane_is_away_and_nobody_goes_off_air(made_up_wire, away_s):
    fleet = Fleet()
    fleet.all_is_well(started=STREAMS)
    pids = {each.pid for server in fleet.world.servers.values() for each in server.playouts.values()}
    fleet.world.working = fleet.world.listening = False
    fleet.world.set_redis(False)
    fleet.time_goes_on(away_s)
    fleet.world.set_redis(True)
    fleet.world.begin_to_listen()
    fleet.world.working = fleet.world.listening = True
    fleet.time_goes_on(15)
    assert fleet.unsettled() == []
    fleet.time_goes_on(60)
    assert pids == {each.pid for server in fleet.world.servers.values() for each in server.playouts.values()}
    assert not Transition.objects.filter(event=Event.INTERRUPTED).exists()


def test_the_fleet_converges_whatever_breaks(made_up_wire):
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=30,
        deadline=None,
        derandomize=EXAMPLES <= 30,
        phases=[Phase.generate],  # what led there is printed whole: to make it short would take minutes
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Fleet, settings=how)
    assert {*Event, "back where it was"} <= set(+Fleet.seen), "it has not been everywhere"
