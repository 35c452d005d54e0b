"""Slates and live items by histories: what is made, what each item's slate is, what goes on without files."""

from fractions import Fraction

import pytest

from agent import actions, events, shelf
from agent.playout.plan import parse_plan
from agent.profile import DEFAULT, Profile
from agent.protocol import InputState, SlateFile, StartStream
from agent.tests.histories import History, config, item, key, playing, replace

WIDE = Profile(1920, 1080, Fraction(25), 48000, 2)
TALL = Profile(720, 1280, Fraction(30), 44100, 1)
PICTURE = SlateFile(file_id=21, kind="picture", filename="s.png", download_url="https://f.example/s?sig=x", size=1000)
LIVE = item(9, live_url="rtmp://studio.example/live/k3y", file_id=-9, size=0, download_url="", filename="")


@pytest.fixture
def history() -> History:
    return History()


def ready(history: History, number: int, profile: Profile) -> None:
    history.tell(events.MediaReady(key(number), f"/c/{number}.flv", profile))


def made(history: History, *keys: str) -> None:
    for each in keys:
        history.tell(events.SlateReady(each, f"/c/{each}.flv"))


def wanted(history: History) -> list[str]:
    return [each.key for each in history.of(actions.MakeSlate)]


def plan(history: History) -> dict:
    written = history.of(actions.WritePlan, ever=True)[-1].plan
    parse_plan(written)
    return written


def slates(history: History) -> list[str | None]:
    return [each["slate"] for each in plan(history)["items"]]


# --------------------------------------------------------------------------------------- FFmpeg's own slates


def test_the_slate_of_the_default_profile_is_made_before_anything_else_happens(history: History) -> None:
    history.tick()
    assert wanted(history) == [shelf.made_key(DEFAULT)]
    history.tick()
    assert not wanted(history)
    made(history, shelf.made_key(DEFAULT))
    history.start()
    assert plan(history)["slate"] == f"/c/{shelf.made_key(DEFAULT)}.flv"
    assert slates(history) == [None, None]
    assert not wanted(history)


def test_a_profile_that_becomes_known_gets_its_slate_and_the_plan_says_so(history: History) -> None:
    history.on_air(items=3)
    ready(history, 1, WIDE)
    assert wanted(history) == [shelf.made_key(WIDE)]
    ready(history, 2, TALL)
    assert wanted(history) == [shelf.made_key(TALL)]
    ready(history, 3, WIDE)
    assert not wanted(history)
    assert slates(history) == [None, None, None]
    made(history, shelf.made_key(WIDE))
    wide = f"/c/{shelf.made_key(WIDE)}.flv"
    assert len(history.of(actions.WritePlan)) == 1
    assert slates(history) == [wide, None, wide]


def test_files_found_on_the_disk_have_their_slates_wanted_once_they_are_played(history: History) -> None:
    history.tell(events.MediaCached(key(1), "/c/1.flv", 4.0, WIDE))
    assert shelf.made_key(WIDE) not in wanted(history)
    history.start()
    assert shelf.made_key(WIDE) in wanted(history)


def test_what_may_be_shown_is_held_and_let_go_with_the_run(history: History) -> None:
    history.on_air(slate=PICTURE)
    ready(history, 1, WIDE)
    (hold,) = history.of(actions.Hold)
    shown = {shelf.made_key(WIDE), shelf.own_key(PICTURE, WIDE), shelf.own_key(PICTURE, DEFAULT)}
    assert shown | {shelf.source_key(PICTURE), shelf.made_key(DEFAULT), key(1), key(2)} <= hold.keys
    history.stop()
    history.exited("stopped")
    (hold,) = history.of(actions.Hold)
    assert hold.keys == shelf.ALWAYS
    assert not [each for each in history.of(actions.Delete) if each.key.startswith("slate")], "for the next run"


def test_a_slate_that_was_evicted_is_made_again_when_it_is_wanted(history: History) -> None:
    made(history, shelf.made_key(WIDE))
    history.tell(events.MediaEvicted(shelf.made_key(WIDE)))
    assert shelf.made_key(WIDE) not in history.state.slates
    history.on_air()
    ready(history, 1, WIDE)
    assert wanted(history) == [shelf.made_key(WIDE)]


def test_a_slate_that_cannot_be_made_is_said_and_another_is_shown(history: History) -> None:
    made(history, shelf.made_key(DEFAULT))
    history.on_air()
    ready(history, 1, WIDE)
    history.tell(events.SlateFailed(shelf.made_key(WIDE), "no memory", True, ("[FFMPEG] no",)))
    (note,) = history.of(actions.Note)
    assert "no memory" in note.text
    (log,) = history.of(actions.AppendLog)
    assert log.lines == ("[FFMPEG] no", "[SLATE] a slate cannot be had, another takes its place: no memory")
    assert slates(history) == [None, None]
    assert plan(history)["slate"]
    history.tick(1000)
    assert not wanted(history)


def test_a_failure_that_may_pass_is_tried_again_later(history: History) -> None:
    history.tick()
    history.tell(events.SlateFailed(shelf.made_key(DEFAULT), "no room", False))
    history.tick(119)
    assert not wanted(history)
    history.tick(1)
    assert wanted(history) == [shelf.made_key(DEFAULT)]


def test_an_agent_that_leaves_makes_no_more(history: History) -> None:
    history.on_air()
    history.tell(events.Shutdown())
    ready(history, 1, WIDE)
    assert not wanted(history)


# ------------------------------------------------------------------------------------------- the owner's own


def test_the_owners_slate_is_had_in_every_profile_and_shown_instead(history: History) -> None:
    made(history, shelf.made_key(DEFAULT))
    history.on_air(slate=PICTURE)
    (first,) = [each for each in history.of(actions.MakeSlate, ever=True) if each.file]
    assert (first.key, first.profile) == (shelf.own_key(PICTURE, DEFAULT), DEFAULT)
    assert "sig=x" not in repr(history.all)
    ready(history, 1, WIDE)
    assert wanted(history) == [shelf.own_key(PICTURE, WIDE)]
    assert plan(history)["slate"] == f"/c/{shelf.made_key(DEFAULT)}.flv", "until the own one is there"
    made(history, shelf.own_key(PICTURE, DEFAULT), shelf.own_key(PICTURE, WIDE))
    assert plan(history)["slate"] == f"/c/{shelf.own_key(PICTURE, DEFAULT)}.flv"
    assert slates(history) == [f"/c/{shelf.own_key(PICTURE, WIDE)}.flv", None]


def test_when_it_cannot_be_had_ffmpegs_is_made(history: History) -> None:
    history.on_air(slate=PICTURE)
    ready(history, 1, WIDE)
    history.tell(events.SlateFailed(shelf.own_key(PICTURE, WIDE), "the server does not have it", True))
    assert "the server does not have it" in history.of(actions.Note)[0].text
    assert wanted(history) == [shelf.made_key(WIDE)]
    made(history, shelf.made_key(WIDE))
    assert slates(history) == [f"/c/{shelf.made_key(WIDE)}.flv", None]


def test_a_command_with_a_fresh_address_tries_it_again(history: History) -> None:
    history.on_air(slate=PICTURE)
    ready(history, 1, WIDE)
    history.tell(events.SlateFailed(shelf.own_key(PICTURE, WIDE), "its address may have run out", True))
    made(history, shelf.made_key(WIDE))
    history.update(config(slate=replace(PICTURE, download_url="https://f.example/s?sig=y")))
    again = [each for each in history.of(actions.MakeSlate) if each.key == shelf.own_key(PICTURE, WIDE)]
    assert [each.file.download_url[-1] for each in again] == ["y"]
    assert slates(history) == [f"/c/{shelf.made_key(WIDE)}.flv", None], "shown meanwhile"


def test_a_slate_that_makes_no_sense_is_said_and_not_fetched(history: History) -> None:
    history.on_air(slate=replace(PICTURE, kind="script"))
    assert "neither a picture nor a clip" in " ".join(each.text for each in history.of(actions.Note, ever=True))
    assert not [each for each in history.of(actions.MakeSlate, ever=True) if each.file]


def test_a_slate_chosen_on_air_takes_the_place_of_the_old_one(history: History) -> None:
    history.on_air()
    ready(history, 1, WIDE)
    made(history, shelf.made_key(WIDE))
    history.update(config(slate=PICTURE))
    assert set(wanted(history)) == {shelf.own_key(PICTURE, WIDE), shelf.own_key(PICTURE, DEFAULT)}
    made(history, shelf.own_key(PICTURE, WIDE))
    assert slates(history)[0] == f"/c/{shelf.own_key(PICTURE, WIDE)}.flv"


# ------------------------------------------------------------------------------- when nothing else can play


def on_slate(why: str = "the list is empty", **more):
    return replace(playing(item_id=None, **more), phase="slate", slate=why)


def test_a_list_emptied_on_air_leaves_the_slate_and_may_be_filled_again(history: History) -> None:
    history.on_air()
    history.update(config(items=0))
    assert plan(history)["items"] == []
    assert not history.of((actions.AskToStop, actions.Signal))
    history.tell(events.PlayoutStatus("r1", on_slate()))
    (status,) = history.statuses()
    assert (status.status, status.run.phase, status.run.slate) == ("STREAMING", "on_air", "the list is empty")
    history.update(config(items=1))
    assert len(plan(history)["items"]) == 1


def test_what_was_on_air_stays_there_when_every_file_is_gone(history: History) -> None:
    history.on_air()
    history.update(config(video_files=(item(5),)))
    history.tell(events.MediaFailed(key(5), "it is broken", True))
    assert history.state.runs[1].stopping_since is None
    assert not history.of(actions.AskToStop)


def test_the_slate_alone_is_not_enough_to_stay(history: History) -> None:
    history.start()
    history.begun()
    history.tell(events.PlayoutStatus("r1", on_slate("the first file is on its way")))
    assert history.said()[0][0] == "STREAMING"
    history.tell(events.MediaFailed(key(1), "it is broken", True))
    history.tell(events.MediaFailed(key(2), "it is gone", True))
    history.exited("stopped")
    assert history.said() == [("ERROR", "r1", "none of the files can be played: it is broken")]


def test_progress_never_speaks_of_a_file_that_is_not_ready(history: History) -> None:
    history.start()
    history.begun()
    history.tell(events.PlayoutStatus("r1", on_slate("the first file is on its way")))
    assert [stage for stage, _ in history.progress()] == ["ffmpeg_starting", "ffmpeg_started", "streaming"]
    words = history.of(actions.Publish)[-1].message.message
    assert words == "on air with the slate: the first file is on its way"


@pytest.mark.parametrize(
    "change",
    [
        {"slate": "paused"},
        {"paused": True},
        {"input": InputState(item_id=9, state="away", since=1.0)},
        {"input": InputState(item_id=9, state="away", since=1.0, reason="it closed the connection")},
    ],
)
def test_what_people_should_see_is_said_at_once(history: History, change: dict) -> None:
    history.on_air()
    history.tell(events.PlayoutStatus("r1", replace(playing(), **change)))
    assert history.of(actions.Poke)
    (status,) = history.statuses()
    for name, value in change.items():
        assert getattr(status.run, name) == value


# ------------------------------------------------------------------------------------------------ live items


def test_a_live_item_is_read_by_the_playout_and_not_fetched(history: History) -> None:
    history.start(video_files=(LIVE,))
    assert not history.of(actions.Obtain)
    assert history.of(actions.Spawn)
    (entry,) = plan(history)["items"]
    assert (entry["path"], entry["ready"], entry["complete"], entry["failed"]) == ("", True, False, None)
    assert entry["live_url"] == LIVE.live_url
    assert "k3y" not in repr(history.all)
    assert [stage for stage, _ in history.progress()] == ["ffmpeg_starting"]
    history.begun()
    assert history.state.runs[1].files == {}


def test_a_list_with_a_live_item_is_never_hopeless(history: History) -> None:
    history.start(video_files=(item(1), LIVE))
    history.begun()
    history.tell(events.MediaFailed(key(1), "it is broken", True))
    assert not history.of(actions.AskToStop)


def test_a_live_item_that_cannot_be_is_passed_over_or_an_error(history: History) -> None:
    private = replace(LIVE, live_url="http://192.168.0.1/live.m3u8")
    history.start(video_files=(item(1), private))
    assert [each["failed"] for each in plan(history)["items"]] == [None, "its address is in a private network"]
    history.tell(StartStream(config=config("other", stream=2, video_files=(private,)), timestamp=history.now))
    assert ("ERROR", "other", "the file cannot be played: its address is in a private network") in history.said()


def test_a_private_live_input_is_read_where_that_is_allowed() -> None:
    history = History(reach_private=True)
    history.start(video_files=(replace(LIVE, live_url="http://192.168.0.1/live.m3u8"),))
    assert plan(history)["items"][0]["failed"] is None


def test_ways_to_push_are_in_the_plan(history: History) -> None:
    push = config().push_urls[0]
    history.start(push_urls=(push, replace(push, id=2, via="ffmpeg"), replace(push, id=3, via="pigeon")))
    assert [(each["id"], each["via"]) for each in plan(history)["destinations"]] == [(1, "native"), (2, "ffmpeg")]
