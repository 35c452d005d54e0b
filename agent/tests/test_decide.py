"""`decide` by histories: what happened, what it must have done."""

import signal

import pytest

from agent import actions, events, report
from agent.protocol import QUERIES, DestinationState, Ping, Pong, PushUrl, Renewal, StartStream, StopStream
from agent.state import Playing
from agent.tests.histories import History, config, item, key, playing, record, replace


@pytest.fixture
def history() -> History:
    return History()


# ------------------------------------------------------------------------------------------------ starting


def test_start_spawns_at_once_and_fetches_beside_it(history: History) -> None:
    history.start()
    order = [type(each) for each in history.did]
    assert {actions.Remember, actions.WritePlan, actions.Obtain, actions.Spawn, actions.Poke} <= set(order)
    assert order.index(actions.Remember) < order.index(actions.Spawn)
    assert order.index(actions.WritePlan) < order.index(actions.Spawn)
    assert [each.urgent for each in history.of(actions.Obtain)] == [True, False]


def test_progress_goes_one_way_through_all_stages(history: History) -> None:
    history.start()
    history.tell(events.MediaProgress(key(1), 500_000, 1_000_000))
    history.begun()
    history.complete(1)
    history.tell(events.PlayoutStatus("r1", playing(state="connecting", sent=0)))
    history.tell(events.PlayoutStatus("r1", playing()))
    assert history.progress(ever=True) == [
        ("downloading", 10),
        ("downloading", 35),
        ("file_ready", 70),
        ("ffmpeg_starting", 80),
        ("ffmpeg_started", 90),
        ("streaming", 100),
    ]


def test_cached_files_are_played_without_fetching(history: History) -> None:
    history.tell(events.MediaCached(key(1), "/c/1.flv", 4.0))
    history.tell(events.MediaCached(key(2), "/c/2.flv", 4.0))
    history.start()
    assert not history.of(actions.Obtain)
    (plan,) = history.of(actions.WritePlan)
    assert [(each["path"], each["ready"], each["complete"]) for each in plan.plan["items"]] == [
        ("/c/1.flv", True, True),
        ("/c/2.flv", True, True),
    ]


def test_streaming_is_said_only_when_a_destination_took_bytes(history: History) -> None:
    history.start()
    history.begun()
    history.complete(1)
    history.tell(events.PlayoutStatus("r1", playing(state="connecting", sent=0)))
    assert not history.said(ever=True)
    history.tell(events.PlayoutStatus("r1", playing()))
    assert history.said() == [("STREAMING", "r1", "on air")]
    (status,) = history.statuses()
    assert status.run.phase == "on_air"
    assert status.run.item_id == 1
    assert status.output_url == "rtmp://place.example/live"


def test_a_change_of_item_or_state_is_said_at_once_and_a_position_is_not(history: History) -> None:
    history.on_air()
    history.tell(events.PlayoutStatus("r1", playing(position_s=9.0)))
    assert not history.of(actions.Poke)
    assert not history.said()
    history.tell(events.PlayoutStatus("r1", playing(item_id=2)))
    assert history.of(actions.Poke)
    assert history.said()
    history.tell(events.PlayoutStatus("r1", playing(item_id=2, state="reconnecting")))
    assert history.of(actions.Poke)


def test_start_of_the_run_that_is_held_only_reports_again(history: History) -> None:
    history.on_air()
    history.start()
    assert history.said() == [("STREAMING", "r1", "on air")]
    assert not history.of(actions.Spawn)
    assert not history.of(actions.Obtain)


def test_an_older_epoch_is_refused(history: History) -> None:
    history.on_air(epoch=3)
    history.start(epoch=2)
    assert not history.said()
    assert history.state.runs[1].config.epoch == 3


def test_a_start_said_before_the_held_run_s_is_refused(history: History) -> None:
    history.on_air()
    history.start("r0", at=history.now - 60)
    assert history.state.runs[1].successor is None


@pytest.mark.parametrize(("run", "epoch"), [("r2", 1), ("r1", 2)])
def test_a_newer_run_begins_when_the_old_ones_playout_is_gone(history: History, run: str, epoch: int) -> None:
    history.on_air()
    history.start(run, epoch=epoch)
    assert history.of(actions.AskToStop)
    assert not history.of(actions.Spawn)
    history.exited("stopped")
    assert [each.run_id for each in history.of(actions.Spawn)] == [run]
    assert not history.of(actions.Delete), "its successor plays the same files"
    # The same run under a new epoch goes on: to say STOPPED would end it.
    assert [each[:2] for each in history.said()] == ([("STOPPED", "r1")] if run == "r2" else [])


def test_the_third_run_takes_the_second_ones_place_before_it_began(history: History) -> None:
    history.on_air()
    history.start("r2")
    history.start("r3")
    assert ("STOPPED", "r2", "replaced by a newer run") in history.said()
    history.exited("stopped")
    assert history.state.runs[1].run_id == "r3"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"video_files": ()}, "the playlist is empty"),
        ({"push_urls": ()}, "no destination can be used"),
        ({"order": "shuffled"}, "the order is neither sequential nor random"),
        ({"run_id": "../../etc"}, "the run's id is not usable"),
        ({"video_files": (item(1), item(1))}, "two items of the playlist have the same id"),
    ],
)
def test_a_run_that_cannot_be_is_an_error(history: History, change: dict, words: str) -> None:
    wanted = replace(config(), **change)
    history.tell(StartStream(config=wanted, timestamp=history.now))
    assert history.said() == [("ERROR", wanted.run_id, words)]
    assert not history.state.runs
    assert not history.of((actions.Spawn, actions.Remember, actions.WritePlan))


@pytest.mark.parametrize(
    "push",
    [
        {"url": "http://place.example/live"},
        {"url": "rtmp://place.example/li ve"},
        {"url": "rtmp://place.example/live;exec"},
        {"url": "rtmp://place.example/{live}"},
        {"url": 'rtmp://place.example/"live"'},
        {"url": "rtmp:///live"},
        {"key": "a\nb"},
        {"key": ""},
    ],
)
def test_a_bad_destination_does_not_stop_the_others(history: History, push: dict) -> None:
    good = config().push_urls[0]
    bad = replace(PushUrl(id=2, name="bad", url="rtmp://place.example/live", key="k"), **push)
    history.start(push_urls=(good, bad))
    (plan,) = history.of(actions.WritePlan)
    assert [each["id"] for each in plan.plan["destinations"]] == [1]
    history.begun()
    history.complete(1)
    history.tell(events.PlayoutStatus("r1", playing()))
    (status,) = history.statuses()
    assert [each.state for each in status.run.destinations] == ["live", "failed"]
    assert status.run.fingerprint == config(push_urls=(good, bad)).fingerprint


def test_a_full_server_says_so() -> None:
    history = History(max_streams=1)
    history.start()
    history.start("other", stream=2)
    assert history.said() == [("ERROR", "other", "this server holds 1 streams already")]


# ------------------------------------------------------------------------------------------------- stopping


def test_stop_asks_then_terms_then_kills(history: History) -> None:
    history.on_air()
    history.stop()
    assert history.of(actions.AskToStop)
    history.tick(2.9)
    assert not history.of(actions.Signal)
    history.tick(0.2)
    assert [each.number for each in history.of(actions.Signal)] == [signal.SIGTERM]
    history.tick(6.8)
    assert not history.of(actions.Signal)
    history.tick(0.2)
    assert [each.number for each in history.of(actions.Signal)] == [signal.SIGKILL]
    history.tick(5)
    assert not history.of(actions.Signal)
    history.exited(None)
    assert history.said() == [("STOPPED", "r1", "stopped")]
    assert not history.state.runs
    assert {each.key for each in history.of(actions.Delete)} == {key(1), key(2)}
    assert [each.run_id for each in history.of(actions.Forget)] == ["r1"]


def test_the_agents_log_names_the_click_behind_a_start_and_a_stop(history: History) -> None:
    history.start(request_id="req-1")
    history.begun()
    history.tell(StopStream(stream_id=1, run_id="r1", timestamp=history.now, request_id="req-2"))
    notes = [(each.text, each.request_id) for each in history.of(actions.Note, ever=True)]
    assert notes == [("run begins", "req-1"), ("told to stop", "req-2")]


def test_a_click_whose_stop_comes_second_is_named_too(history: History) -> None:
    """A heartbeat's answer may have stopped it before the click's own command is heard; and it may be over by then."""
    history.on_air()
    history.stop()
    history.tell(StopStream(stream_id=1, run_id="r1", timestamp=history.now, request_id="req-2"))
    history.exited("stopped")
    history.tell(StopStream(stream_id=1, run_id="r1", timestamp=history.now, request_id="req-3"))
    notes = [each for each in history.of(actions.Note, ever=True) if each.text == "told to stop"]
    assert [(each.run_id, each.request_id) for each in notes] == [("r1", None), ("r1", "req-2"), ("r1", "req-3")]


def test_stop_while_fetching_abandons_what_is_on_its_way(history: History) -> None:
    history.start()
    history.begun()
    history.complete(1)
    history.stop()
    history.exited("stopped")
    assert [each.key for each in history.of(actions.Delete)] == [key(1)]
    assert [each.key for each in history.of(actions.Abandon)] == [key(2)]
    assert not history.state.media


def test_stop_before_the_playout_answered_stops_it_when_it_does(history: History) -> None:
    history.start()
    history.stop()
    assert not history.of(actions.AskToStop)
    history.begun()
    assert history.of(actions.AskToStop)
    history.exited(None)
    assert history.said() == [("STOPPED", "r1", "stopped")]


def test_files_are_kept_when_asked(history: History) -> None:
    history.on_air(keep_files_after_stop=True)
    history.stop()
    history.exited("stopped")
    assert not history.of((actions.Delete, actions.Abandon))
    history.start("r2")
    assert not history.of(actions.Obtain)


def test_files_another_stream_plays_stay(history: History) -> None:
    history.on_air()
    history.start("other", stream=2)
    history.stop()
    history.exited("stopped")
    assert not history.of(actions.Delete)


def test_stop_of_what_is_not_held_is_answered(history: History) -> None:
    history.stop("r9")
    assert history.said() == [("STOPPED", "r9", "stopped")]
    history.stop(None)
    assert history.said() == [("STOPPED", "", "stopped")]


def test_stop_of_another_run_touches_nothing(history: History) -> None:
    history.on_air()
    history.stop("r9")
    assert history.said() == [("STOPPED", "r9", "stopped")]
    assert history.state.runs[1].stopping_since is None


def test_stop_without_a_run_ends_what_waits_too(history: History) -> None:
    history.on_air()
    history.start("r2")
    history.stop(None)
    history.exited("stopped")
    assert not history.state.runs
    assert {each[:2] for each in history.said(ever=True)} >= {("STOPPED", "r1"), ("STOPPED", "r2")}


def test_stop_of_the_waiting_run_only(history: History) -> None:
    history.on_air()
    history.start("r2")
    history.stop("r2")
    assert history.said() == [("STOPPED", "r2", "stopped")]
    history.exited("stopped")
    assert not history.state.runs


def test_a_late_start_of_a_stopped_run_is_answered_with_its_end(history: History) -> None:
    history.on_air()
    history.stop()
    history.start()
    assert not history.of(actions.Spawn)
    history.exited("stopped")
    history.start()
    assert history.said() == [("STOPPED", "r1", "stopped")]
    assert not history.of(actions.Spawn)
    history.start(epoch=2)
    assert history.of(actions.Spawn)


def test_a_list_that_ends_is_stopped_as_finished(history: History) -> None:
    history.on_air(loop=False)
    history.exited("finished")
    assert history.said() == [("STOPPED", "r1", "finished")]


# ------------------------------------------------------------------------------------------------- failing


def test_a_playout_that_dies_early_is_retried_with_longer_pauses_then_an_error(history: History) -> None:
    history.start()
    for pause in (30, 60, 120):
        history.begun()
        history.exited(None, after=1)
        assert not history.of(actions.Spawn)
        history.tick(pause - 1)
        assert not history.of(actions.Spawn)
        history.tick(1)
        assert [each.resume for each in history.of(actions.Spawn)] == [True]
    history.begun()
    history.exited("RuntimeError")
    assert history.said() == [("ERROR", "r1", "the playout failed 4 times: RuntimeError")]
    assert history.of(actions.Report), "with the last lines of its log"
    assert not history.state.runs


@pytest.mark.parametrize(
    ("lives", "pauses"),
    [
        ([5], [0]),
        ([61, 61, 61], [0, 0, 0]),
        ([5, 5, 5, 5], [0, 30, 60, 120]),
        ([5, 5, 61, 5, 5], [0, 30, 0, 30, 60]),
        ([61, 5, 61, 5], [0, 30, 0, 30]),
    ],
)
def test_a_playout_that_dies_on_air_is_back_at_once_unless_it_just_was(
    history: History, lives: list[float], pauses: list[float]
) -> None:
    """By seconds on air before each death: seconds until the next process is ordered."""
    history.on_air()
    for life, pause in zip(lives, pauses, strict=True):
        history.exited(None, after=life)
        assert bool(history.of(actions.Spawn)) == (pause == 0)
        if pause:
            history.tick(pause - 1)
            assert not history.of(actions.Spawn)
            history.tick(1)
        assert [each.resume for each in history.of(actions.Spawn)] == [True]
        history.begun()
        history.tell(events.PlayoutStatus("r1", playing()))
    assert history.state.runs[1].restarts == len(lives)
    assert report.run_report(history.state.runs[1], {}).restart_reason == "it was killed"


def test_a_playout_that_goes_on_dying_on_air_is_an_error_in_the_end(history: History) -> None:
    history.on_air()
    for pause in (0, 30, 60, 120):
        history.exited(None, after=5)
        history.tick(pause)
        history.begun()
        history.tell(events.PlayoutStatus("r1", playing()))
    history.exited(None, after=5)
    assert history.said()[-1][0] == "ERROR"
    assert not history.state.runs


def test_one_that_never_was_on_air_is_not_hurried(history: History) -> None:
    history.start()
    history.begun()
    history.complete(1)
    history.tell(events.PlayoutStatus("r1", playing(state="connecting", sent=0)))
    history.exited(None, after=100)
    assert not history.of(actions.Spawn)
    assert history.state.runs[1].retry_at == history.now + 30


@pytest.mark.parametrize("on_air", [True, False])
def test_a_plan_that_cannot_be_read_is_an_error_at_once(history: History, on_air: bool) -> None:
    if on_air:
        history.on_air()
    else:
        history.start()
        history.begun()
    history.exited("plan: the plan's «items» is missing or of the wrong type")
    words = "the playout could not read its plan: the plan's «items» is missing or of the wrong type"
    assert history.said() == [("ERROR", "r1", words)]
    assert not history.of(actions.Spawn)


def test_the_next_agent_knows_that_a_playout_was_hurried(history: History) -> None:
    history.on_air()
    history.exited(None)
    (remembered,) = history.of(actions.Remember)
    assert remembered.record.hurried
    after = History()
    again = replace(remembered.record, pid=4000, ticks=1, on_air_since=after.now)
    after.tell(events.Adopted(again, True, None, 1.0))
    after.exited(None, after=5)
    assert not after.of(actions.Spawn)


def test_a_playout_that_dies_after_a_minute_on_air_is_resumed_at_once(history: History) -> None:
    history.on_air()
    for _ in range(6):
        history.exited(None, after=61)
        assert [each.resume for each in history.of(actions.Spawn)] == [True]
        history.begun()
        history.tell(events.PlayoutStatus("r1", playing()))
    assert history.state.runs[1].restarts == 6
    assert not [each for each in history.said(ever=True) if each[0] == "ERROR"]


def test_an_exit_of_an_earlier_process_changes_nothing(history: History) -> None:
    history.on_air()
    history.tell(events.PlayoutExited(1, "r1", 1, None))
    assert history.state.runs[1].pid is not None


def test_stop_while_backing_off_is_immediate(history: History) -> None:
    history.start()
    history.begun()
    history.exited(None)
    history.stop()
    assert history.said() == [("STOPPED", "r1", "stopped")]
    history.tick(500)
    assert not history.of(actions.Spawn)


def test_a_file_that_fails_is_passed_over(history: History) -> None:
    history.start()
    history.begun()
    history.tell(events.MediaFailed(key(1), "it is broken", True, ("[FFMPEG] no",)))
    (plan,) = history.of(actions.WritePlan)
    assert [each["failed"] for each in plan.plan["items"]] == ["it is broken", None]
    assert [each.lines for each in history.of(actions.AppendLog)] == [("[FFMPEG] no",)]
    history.complete(2)
    history.tell(events.PlayoutStatus("r1", playing(item_id=2)))
    (status,) = history.statuses()
    assert [(each.item_id, each.reason) for each in status.run.skipped] == [(1, "it is broken")]


def test_all_files_failed_is_an_error_once_the_playout_is_gone(history: History) -> None:
    history.start()
    history.begun()
    history.tell(events.MediaFailed(key(1), "it is broken", True))
    history.tell(events.MediaFailed(key(2), "it is gone", True))
    assert history.of(actions.AskToStop)
    history.exited("stopped")
    assert history.said() == [("ERROR", "r1", "none of the files can be played: it is broken")]


def test_a_failure_that_may_pass_is_tried_again_later(history: History) -> None:
    history.on_air()
    history.start(items=3)
    history.tell(events.MediaFailed(key(3), "the connection broke", False))
    history.tick(119)
    assert not history.of(actions.Obtain)
    history.tick(1)
    assert [each.key for each in history.of(actions.Obtain)] == [key(3)]


def test_a_command_with_a_fresh_address_tries_a_failed_file_again(history: History) -> None:
    history.on_air()
    history.start(items=3)
    history.tell(events.MediaFailed(key(3), "its address may have run out", True))
    history.tick(1000)
    assert not history.of(actions.Obtain)
    history.update(config(items=3))
    assert [each.key for each in history.of(actions.Obtain)] == [key(3)]


def test_nobody_reached_for_half_a_minute_is_said_once_and_no_error(history: History) -> None:
    history.start()
    history.begun()
    history.complete(1)
    history.tell(events.PlayoutStatus("r1", playing(state="reconnecting", sent=0)))
    history.tick(29)
    assert not history.progress()
    history.tick(2)
    assert history.progress() == [("ffmpeg_started", 90)]
    history.tick(30)
    assert not history.progress()
    assert not history.said(ever=True)


# ------------------------------------------------------------------------------------------------ on air


def test_update_fetches_what_is_new_and_tells_the_playout(history: History) -> None:
    history.on_air()
    history.update(config(items=3))
    assert [each.key for each in history.of(actions.Obtain)] == [key(3)]
    (plan,) = history.of(actions.WritePlan)
    assert len(plan.plan["items"]) == 3
    assert not history.of((actions.Spawn, actions.AskToStop, actions.Signal))
    history.complete(3)
    (plan,) = history.of(actions.WritePlan)
    assert plan.plan["items"][2]["complete"]


def test_update_of_what_is_not_held_starts_it(history: History) -> None:
    history.update(config())
    assert history.of(actions.Spawn)


def test_an_update_that_makes_no_sense_changes_nothing(history: History) -> None:
    history.on_air()
    history.update(config(video_files=(item(1), item(1))))
    assert len(history.state.runs[1].config.video_files) == 2
    assert not history.of((actions.WritePlan, actions.AskToStop))


def test_ping_is_answered(history: History) -> None:
    history.on_air()
    history.tell(Ping(timestamp=5.0))
    (publish,) = history.of(actions.Publish)
    assert publish.message == Pong(
        vps_id=7, timestamp=history.now, active_streams=1, ping_timestamp=5.0, queries=QUERIES
    )


# ------------------------------------------------------------------------------------ taking over, leaving


def test_a_playout_that_is_alive_is_adopted(history: History) -> None:
    history.tell(events.Adopted(record(), True, None, 3.0))
    run = history.state.runs[1]
    assert (run.pid, run.on_air_since) == (4000, 900.0)
    assert not history.of((actions.Spawn, actions.AskToStop))
    assert history.of(actions.Obtain), "what is not on the disk is fetched again"
    history.stop()
    assert history.of(actions.AskToStop)


def test_an_adopted_playout_does_not_wait_for_a_file_that_no_longer_grows(history: History) -> None:
    history.tell(events.Adopted(record(), True, None, 3.0))
    history.tell(events.PlayoutStatus("r1", playing(position_s=5.0)))
    assert not history.of(actions.AskNext)
    waiting = replace(playing(position_s=9.0), phase="waiting")
    history.tell(events.PlayoutStatus("r1", waiting))
    assert history.of(actions.AskNext)
    history.tell(events.PlayoutStatus("r1", waiting))
    assert not history.of(actions.AskNext)


def test_a_playout_of_our_own_may_wait_for_its_file(history: History) -> None:
    history.start()
    history.begun()
    history.tell(events.MediaReady(key(1), "/c/1.flv"))
    history.tell(events.PlayoutStatus("r1", replace(playing(), phase="waiting")))
    assert not history.of(actions.AskNext)


@pytest.mark.parametrize(
    ("change", "reason", "away", "said", "spawned"),
    [
        ({}, None, 3.0, [], True),
        ({}, None, 60.0, [], False),
        ({}, "finished", 60.0, [("STOPPED", "r1", "finished")], False),
        ({"stopping": True}, None, 3.0, [("STOPPED", "r1", "stopped")], False),
    ],
)
def test_a_playout_that_is_gone(
    history: History, change: dict, reason: str | None, away: float, said: list, spawned: bool
) -> None:
    history.tell(events.Adopted(record(**change), False, reason, away))
    assert history.said() == said
    assert bool(history.of(actions.Spawn)) == spawned
    assert bool(history.state.runs) == spawned
    assert bool(history.of(actions.Forget)) != spawned


@pytest.mark.parametrize("newer_first", [True, False])
def test_of_two_playouts_of_one_stream_the_newer_stays(history: History, newer_first: bool) -> None:
    found = [replace(record("r2"), said_at=950.0, pid=4001), record("r1")]
    for each in found if newer_first else reversed(found):
        history.tell(events.Adopted(each, True, None, 3.0))
    assert history.state.runs[1].run_id == "r2"
    assert [each.run_id for each in history.of(actions.Signal, ever=True)] == ["r1"]
    assert "r1" in [each.run_id for each in history.of(actions.Forget, ever=True)]


def test_a_stop_that_was_under_way_goes_on(history: History) -> None:
    history.tell(events.Adopted(record(stopping=True), True, None, 3.0))
    assert history.of(actions.AskToStop)


def test_leaving_hands_over(history: History) -> None:
    history.on_air()
    history.tell(events.Shutdown())
    assert history.of(actions.Exit)
    assert not history.of(actions.AskToStop)
    assert not history.state.accepting


def test_leaving_stops_where_that_is_wanted() -> None:
    history = History(on_exit="stop").on_air()
    history.tell(events.Shutdown())
    assert history.of(actions.AskToStop)
    assert not history.of(actions.Exit)
    history.start("other", stream=2)
    assert not history.of(actions.Spawn)
    history.exited("stopped")
    history.tick(0.5)
    assert history.of(actions.Exit)


def test_leaving_waits_no_longer_than_it_may() -> None:
    history = History(on_exit="stop").on_air()
    history.tell(events.Shutdown())
    history.tick(8.9)
    assert not history.of(actions.Exit)
    history.tick(0.2)
    assert history.of(actions.Exit)


def test_a_stop_said_of_an_old_epoch_comes_too_late_for_the_next(history: History) -> None:
    history.on_air(epoch=3)
    history.tell(StopStream(stream_id=1, run_id="r1", epoch=2, timestamp=history.now))
    assert history.state.runs[1].stopping_since is None
    assert [(each.status, each.epoch) for each in history.statuses()] == [("STOPPED", 2)]
    history.tell(StopStream(stream_id=1, run_id="r1", epoch=3, timestamp=history.now))
    assert history.state.runs[1].stopping_since is not None


def test_a_stop_of_the_run_ends_what_waits_behind_its_old_epoch_too(history: History) -> None:
    history.on_air()
    history.start(epoch=2)
    history.tell(StopStream(stream_id=1, run_id="r1", epoch=2, timestamp=history.now))
    history.exited()
    assert history.state.runs == {}


def test_a_stop_of_the_old_epoch_lets_the_next_one_begin(history: History) -> None:
    history.on_air()
    history.start(epoch=2)
    history.tell(StopStream(stream_id=1, run_id="r1", epoch=1, timestamp=history.now))
    history.exited()
    assert history.state.runs[1].config.epoch == 2


def test_a_start_behind_its_own_stop_comes_too_late(history: History) -> None:
    history.tell(StopStream(stream_id=1, run_id="r1", epoch=1, timestamp=history.now))
    history.start()
    assert history.state.runs == {}
    history.start(epoch=2)
    assert 1 in history.state.runs


def test_an_error_says_whether_another_server_could_do_better(history: History) -> None:
    history.start(push_urls=())
    history.start("r2", stream=2)
    history.begun("r2", 2)
    for number in (1, 2):
        history.tell(events.MediaFailed(key(number), "the server said 503", permanent=False))
    history.exited(run="r2", stream=2)
    said = [each for each in history.statuses(ever=True) if each.status == "ERROR"]
    assert [(each.run_id, each.permanent) for each in said] == [("r1", True), ("r2", False)]


def test_the_plan_says_when_to_renew_and_where_to_begin(history: History) -> None:
    push = PushUrl(id=1, name="place", url="rtmp://place.example/live", key="secret", renew_every_s=41400.0)
    history.start(push_urls=(push,), restart_every_s=86400.0, begin_item_id=2, begin_at_s=61.5)
    (plan,) = history.of(actions.WritePlan)
    assert plan.plan["destinations"][0]["renew_every_s"] == 41400.0
    assert plan.plan["restart_every_s"] == 86400.0
    assert plan.plan["begin"] == {"item_id": 2, "position_s": 61.5}


def test_a_renewal_is_said_at_once_and_other_figures_wait(history: History) -> None:
    history.on_air()

    def seen(**fields) -> None:
        place = DestinationState(id=1, state="live", since=0.0, bytes_sent=1000, renewal=Renewal(**fields))
        history.tell(events.PlayoutStatus("r1", Playing(phase="playing", item_id=1, destinations=(place,))))

    seen(count=0, next_by=50.0)
    seen(count=0, next_by=51.0)
    assert not history.of(actions.Poke)
    seen(count=1, next_by=99.0)
    assert history.of(actions.Poke)


# ------------------------------------------------------------------------------------------------ hanging


def test_a_playout_that_hangs_is_killed_and_another_takes_over(history: History) -> None:
    history.on_air()
    pid = history.state.runs[1].pid
    history.tell(events.PlayoutHung(1, "r1", pid))
    assert history.of(actions.Signal) == [actions.Signal("r1", signal.SIGKILL)]
    history.exited()
    assert history.of(actions.Spawn) == [actions.Spawn(1, "r1", True)]


def test_one_that_hangs_while_it_stops_has_the_time_it_was_given(history: History) -> None:
    history.on_air()
    pid = history.state.runs[1].pid
    history.stop()
    history.tell(events.PlayoutHung(1, "r1", pid))
    history.tell(events.PlayoutHung(1, "r1", pid + 1))
    assert not history.of(actions.Signal, ever=True)


# ------------------------------------------------------------------------------------------------ the clock


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_a_clock_that_is_set_makes_no_wait_longer_or_shorter(history: History, by_s: float) -> None:
    history.on_air()
    history.exited()
    history.begun()
    history.exited()
    (began, on_air) = (history.state.runs[1].begun_at, history.state.runs[1].retry_at)
    history.tell(events.ClockSet(by_s), by_s)
    assert (history.state.runs[1].begun_at, history.state.runs[1].retry_at) == (began + by_s, on_air + by_s)
    assert not history.tick(29)
    history.tick(2)
    assert history.of(actions.Spawn)


@pytest.mark.parametrize("by_s", [3600.0, -3600.0])
def test_nor_is_one_that_stops_given_less_or_more_time(history: History, by_s: float) -> None:
    history.on_air()
    history.stop()
    history.tell(events.ClockSet(by_s), by_s)
    history.tick(2)
    assert not history.of(actions.Signal)
    history.tick(2)
    assert history.of(actions.Signal) == [actions.Signal("r1", signal.SIGTERM)]
