"""Steering and testing destinations by histories: what is passed on, what is refused, what is answered."""

import pytest

from agent import actions, events
from agent.protocol import DestinationTested, Steered, SteerStream, TestDestination
from agent.tests.histories import History, config


@pytest.fixture
def history() -> History:
    return History()


def steer(history: History, order: str = "next", run: str = "r1", order_id: str = "o1", **more) -> None:
    known = {"stream_id": 1, "run_id": run, "order_id": order_id, "order": order, "timestamp": history.now}
    history.tell(SteerStream(**known, **more))


def answers(history: History) -> list[Steered]:
    return [each.message for each in history.of(actions.Publish) if isinstance(each.message, Steered)]


def answered(
    history: History, ok: bool = True, message: str = "", item_id: int | None = 2, order_id: str = "o1"
) -> None:
    history.tell(events.SteerAnswered(1, "r1", order_id, ok, message, item_id))


@pytest.mark.parametrize(
    ("order", "item_id"),
    [
        ("next", None),
        ("previous", None),
        ("jump", 2),
        ("play_next", 2),
        ("pause", None),
        ("resume", None),
        ("retry", None),
    ],
)
def test_an_order_goes_to_the_playout_and_its_answer_back(history: History, order: str, item_id: int | None) -> None:
    history.on_air()
    steer(history, order, item_id=item_id)
    assert history.of(actions.Steer) == [actions.Steer(1, "r1", "o1", order, item_id)]
    assert not answers(history)
    answered(history)
    (answer,) = answers(history)
    assert (answer.vps_id, answer.stream_id, answer.run_id, answer.order_id) == (7, 1, "r1", "o1")
    assert (answer.ok, answer.message, answer.item_id) == (True, "", 2)


def test_a_destination_is_named_to_the_playout(history: History) -> None:
    history.on_air()
    steer(history, "renew", destination_id=1)
    assert history.of(actions.Steer) == [actions.Steer(1, "r1", "o1", "renew", None, 1)]


def test_what_the_playout_says_against_it_is_passed_on(history: History) -> None:
    history.on_air()
    steer(history, "previous")
    answered(history, False, "this is the first item", None)
    assert [(each.ok, each.message) for each in answers(history)] == [(False, "this is the first item")]


def nothing(history: History) -> None:
    pass


def starting(history: History) -> None:
    history.start()


def on_air(history: History) -> None:
    history.on_air()


def stopping(history: History) -> None:
    history.on_air()
    history.stop()


def backing_off(history: History) -> None:
    history.start()
    history.begun()
    history.exited(None)


@pytest.mark.parametrize(
    ("before", "order", "words"),
    [
        (nothing, {}, "this stream is not held here"),
        (on_air, {"run": "r0"}, "another run of this stream is held here"),
        (stopping, {}, "the stream is being stopped"),
        (starting, {}, "nothing is on air: the stream is being started"),
        (backing_off, {}, "nothing is on air at the moment"),
        (on_air, {"order": "explode"}, "there is no such order"),
        (on_air, {"order": "stop"}, "there is no such order"),
        (on_air, {"order": "jump"}, "there is no such item in the list"),
        (on_air, {"order": "jump", "item_id": 99}, "there is no such item in the list"),
        (on_air, {"order": "play_next", "item_id": 99}, "there is no such item in the list"),
        (on_air, {"order": "renew", "destination_id": 99}, "there is no such destination"),
        (on_air, {"order": "renew"}, "there is no such destination"),
    ],
)
def test_what_cannot_be_is_refused_in_plain_words(history: History, before, order: dict, words: str) -> None:
    before(history)
    steer(history, **order)
    assert not history.of(actions.Steer)
    assert [(each.ok, each.message, each.run_id) for each in answers(history)] == [
        (False, words, order.get("run", "r1"))
    ]


def test_the_item_of_an_update_can_be_named_at_once(history: History) -> None:
    history.on_air()
    history.update(config(items=3))
    steer(history, "play_next", item_id=3)
    assert history.of(actions.Steer)


def test_an_order_that_comes_twice_is_carried_out_once_and_answered_twice(history: History) -> None:
    history.on_air()
    steer(history)
    steer(history)
    assert not history.of(actions.Steer)
    assert not answers(history), "not known yet"
    answered(history)
    steer(history)
    assert not history.of(actions.Steer)
    assert [each.item_id for each in answers(history)] == [2]
    steer(history, order_id="o2")
    assert history.of(actions.Steer)


def test_the_agents_log_names_the_click_behind_an_order(history: History) -> None:
    history.on_air()
    steer(history, "pause", request_id="req-3")
    assert [(each.text, each.request_id) for each in history.of(actions.Note)] == [("told to pause", "req-3")]


# --------------------------------------------------------------------------------------- trying destinations


def outcomes(history: History) -> list[DestinationTested]:
    return [each.message for each in history.of(actions.Publish) if isinstance(each.message, DestinationTested)]


def test_a_destination_is_tried_and_the_outcome_said(history: History) -> None:
    command = TestDestination(test_id="t1", url="rtmp://place.example/live", key="secret", timestamp=1.0, via="ffmpeg")
    history.tell(command)
    (wanted,) = history.of(actions.Try)
    assert (wanted.test_id, wanted.push.url, wanted.push.key, wanted.push.via) == (
        "t1", "rtmp://place.example/live", "secret", "ffmpeg",
    )  # fmt: skip
    assert "secret" not in repr(history.did) + repr(command)
    history.tell(events.TrialEnded("t1", "refused", "the key is in use", 120))
    (told,) = outcomes(history)
    assert (told.vps_id, told.test_id, told.state, told.message, told.took_ms) == (
        7,
        "t1",
        "refused",
        "the key is in use",
        120,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "http://place.example/live"}, "not rtmp:// or rtmps://"),
        ({"url": "rtmp://place.example/live;"}, "characters that no RTMP address has"),
        ({"key": "a b"}, "characters that no stream key has"),
        ({"key": ""}, "no stream key"),
        ({"via": "pigeon"}, "no such way to push"),
        ({"via": "nginx", "url": "rtmps://place.example/live"}, "nginx cannot push to rtmps://"),
    ],
)
def test_a_destination_that_cannot_be_is_answered_without_trying(history: History, change: dict, words: str) -> None:
    known = {"test_id": "t1", "url": "rtmp://place.example/live", "key": "secret", "timestamp": 1.0}
    history.tell(TestDestination(**(known | change)))
    assert not history.of(actions.Try)
    (told,) = outcomes(history)
    assert told.state == "failed"
    assert words in told.message
