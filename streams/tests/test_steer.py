"""Orders for what is on air: what is sent, what is told, what is refused."""

import time
import uuid

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from fleet.models import Vps
from streams import actions, airing, snapshot, telling
from streams.actions import steering
from streams.errors import Gone, Invalid, NotDone, Unreachable, WrongState
from streams.models import RunEvent, Stream
from streams.tests import build
from streams.tests.steering import answering, on_air

pytestmark = pytest.mark.django_db(transaction=True)


def look(stream):
    return snapshot.load(Stream.objects.get(pk=stream.pk), timezone.now())


def line():
    row = RunEvent.objects.filter(kind="steered").latest("id")
    return telling.tell(row.kind, row.facts).words


def test_next_is_answered_by_what_is_on_air_now(stream, vps, alice):
    on_air(stream, vps)
    second = stream.items.last()
    with answering(vps, lambda _command: {"item_id": second.pk}) as agent:
        outcome = actions.steer(stream, "next", alice)
    assert (outcome.words, outcome.answered, outcome.item_id) == ("Now playing «clip 1».", True, second.pk)
    assert agent.orders() == [("next", None)]
    shown = look(stream)
    assert (shown.now_playing.title, shown.now_playing.position_s) == ("clip 1", pytest.approx(0.0, abs=2))
    assert (line(), shown.timeline[0].actor) == ("Skipped to the next item: «clip 1»", alice.name)
    entry = AuditEntry.objects.filter(verb="steer").get()
    assert (entry.actor, entry.details) == (alice, {"order": "next", "item": None})


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("jump", "Now playing «clip 1»."),
        ("play_next", "«clip 1» plays next."),
    ],
)
def test_orders_about_an_item(stream, vps, alice, order, words):
    on_air(stream, vps)
    first, second = stream.items.all()
    with answering(vps, lambda c: {"item_id": second.pk if c.order == "jump" else first.pk}) as agent:
        assert actions.steer(stream, order, alice, second.pk).words == words
    assert agent.orders() == [(order, second.pk)]
    shown = look(stream)
    assert shown.now_playing.title == ("clip 1" if order == "jump" else "clip 0")
    assert shown.next_titles == (() if order == "jump" else ("clip 1",))


def test_pause_and_resume(stream, vps, alice):
    on_air(stream, vps)
    first = stream.items.first()
    with answering(vps, lambda c: {"item_id": None if c.order == "pause" else first.pk}):
        assert actions.steer(stream, "pause", alice).words == "Paused: the slate is on air."
        shown = look(stream)
        assert (shown.paused, shown.headline) == (True, "Paused: the slate is on air")
        assert actions.steer(stream, "resume", alice).words == "Now playing «clip 0»."
    shown = look(stream)
    assert (shown.paused, shown.slate, shown.now_playing.position_s) == (False, None, pytest.approx(3.0, abs=2))


def test_the_slate_after_a_jump_is_said(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps, lambda _command: {"item_id": None}):
        assert actions.steer(stream, "next", alice).words == "The slate is on air."


def test_an_order_of_an_item_that_left_meanwhile_is_done(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps, lambda _command: {"item_id": 10**9}):
        assert actions.steer(stream, "next", alice).words == "Done."
    assert look(stream).now_playing.title == "clip 0"


def test_a_refusal_is_told_in_the_servers_words_without_secrets(stream, vps, alice):
    on_air(stream, vps)
    words = "there is nothing behind rtmp://host/app/THEKEY"
    with answering(vps, lambda _command: {"ok": False, "message": words}), pytest.raises(NotDone) as refusal:
        actions.steer(stream, "next", alice)
    assert "there is nothing behind" in refusal.value.message
    assert "THEKEY" not in refusal.value.message
    assert not RunEvent.objects.exists()


def test_a_server_that_does_not_answer_is_waited_for_one_second_only(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps, lambda _command: None):
        began = time.monotonic()
        outcome = actions.steer(stream, "next", alice)
        assert steering.WAIT_S <= time.monotonic() - began < 4 * steering.WAIT_S
    assert not outcome.answered
    assert "has not answered within a second" in outcome.words
    assert line() == "Asked for, not answered in time: next item"


def test_another_runs_answer_is_not_ours(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps, lambda _command: {"run_id": str(uuid.uuid4()), "item_id": 1}):
        assert not actions.steer(stream, "next", alice).answered


def test_refused_before_anything_is_sent(stream, vps, alice):
    with pytest.raises(WrongState, match="not on air"):
        actions.steer(stream, "next", alice)
    on_air(stream, vps)
    with answering(vps) as agent:
        with pytest.raises(Invalid):
            actions.steer(stream, "explode", alice)
        for wrong in (None, 10**30, -1, build.stream(alice).items.first().pk):
            with pytest.raises(Gone, match="no longer in the playlist"):
                actions.steer(stream, "jump", alice, wrong)
        Vps.objects.filter(pk=vps.pk).update(last_heartbeat_at=build.ago(3600))
        with pytest.raises(Unreachable, match="silent"):
            actions.steer(stream, "next", alice)
    assert agent.heard == []


def test_a_server_nobody_listens_on_is_said(stream, vps, alice):
    on_air(stream, vps)
    with pytest.raises(Unreachable, match="does not listen"):
        actions.steer(stream, "next", alice)


def test_two_steer_at_once_and_the_last_one_wins(stream, vps, alice, operator):
    on_air(stream, vps)
    first, second = stream.items.all()
    with answering(vps) as agent:
        actions.steer(stream, "jump", alice, second.pk)
        actions.steer(stream, "jump", operator, first.pk)
    assert agent.orders() == [("jump", second.pk), ("jump", first.pk)]
    assert look(stream).now_playing.title == "clip 0"


def test_insert_next_puts_it_behind_what_plays_and_has_it_play_next(stream, vps, alice):
    on_air(stream, vps)
    file = build.file(alice, "news")
    with answering(vps) as agent:
        outcome = actions.insert_next(stream, file.pk, alice)
        agent.hears(2)
    assert outcome.words == "«news» plays next."
    assert [item.title for item in stream.items.all()] == ["clip 0", "news", "clip 1"]
    [config] = agent.configs()
    new = stream.items.get(file=file)
    assert [item.item_id for item in config.video_files][1] == new.pk
    assert agent.orders() == [("play_next", new.pk)]
    assert type(agent.heard[0]).__name__ == "UpdateStream"


def test_insert_next_takes_only_the_owners_ready_videos(stream, vps, alice, bob, operator):
    on_air(stream, vps)
    for file in (build.file(bob), build.file(operator), build.file(alice, status="processing")):
        with pytest.raises(Gone, match="not in the library"):
            actions.insert_next(stream, file.pk, operator)
    assert stream.items.count() == 2


def test_an_insert_the_server_refuses_to_play_next_stands_in_the_list(stream, vps, alice):
    on_air(stream, vps)
    file = build.file(alice, "news")
    with answering(vps, lambda _command: {"ok": False, "message": "it is still being downloaded"}):
        outcome = actions.insert_next(stream, file.pk, alice)
    assert not outcome.answered
    assert "stands in the playlist now" in outcome.words
    assert "still being downloaded" in outcome.words
    assert stream.items.count() == 3


def test_lag_is_worth_a_word_from_300_ms():
    assert [airing._lag_ms({"lag_ms": lag}) for lag in (0, 299, 300, 5000)] == [0, 0, 300, 5000]
