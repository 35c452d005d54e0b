"""Destinations pushed by nginx, as `decide` sees them: asked for, put on air when they answer, taken off, adopted."""

import pytest

from agent import actions, events
from agent.nginx_conf import local_key
from agent.protocol import PushUrl, StopStream, UpdateStream
from agent.report import run_report
from agent.tests.histories import History, config, record, replace

NATIVE = PushUrl(id=1, name="place", url="rtmp://place.example/live", key="secret")
RELAYED = PushUrl(id=2, name="other", url="rtmp://other.example/app", key="hidden", via="nginx")
LOCAL = local_key(RELAYED.url, RELAYED.key)
BOTH = (NATIVE, RELAYED)


@pytest.fixture
def history() -> History:
    history = History(nginx_port=1936)
    history.start(push_urls=BOTH)
    return history


def planned(history: History) -> list[tuple]:
    (plan,) = history.of(actions.WritePlan)
    return [(each["id"], each["url"], each["key"], each["via"]) for each in plan.plan["destinations"]]


def state(history: History) -> tuple:
    destinations = run_report(history.state.runs[1], {}).destinations
    return next((each.state, each.reason) for each in destinations if each.id == RELAYED.id)


def change(history: History, *pushes: PushUrl) -> None:
    history.tell(UpdateStream(config=config(push_urls=pushes), timestamp=history.now))


def test_it_is_asked_for_and_in_the_plan_only_when_it_answers(history: History) -> None:
    assert history.of(actions.Relay) == [actions.Relay({1: (RELAYED,)})]
    assert planned(history) == [(1, NATIVE.url, NATIVE.key, "native")]
    assert state(history) == ("connecting", None)
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    assert planned(history)[1] == (2, "rtmp://127.0.0.1:1936/stream_1_2", LOCAL, "nginx")
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    assert not history.did


def test_why_it_is_not_pushed_is_said(history: History) -> None:
    history.tell(events.RelaysLoaded(1, {}, {2: "nginx is away"}))
    assert state(history) == ("failed", "nginx is away")
    assert history.of(actions.Poke)
    assert [each.text for each in history.of(actions.Note)] == ["nginx does not push for a destination: nginx is away"]
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    assert state(history) == ("connecting", None)


def test_a_new_key_goes_on_air_when_nginx_has_it(history: History) -> None:
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    changed = replace(RELAYED, key="new")
    change(history, NATIVE, changed)
    assert history.of(actions.Relay) == [actions.Relay({1: (changed,)})]
    assert not history.of(actions.WritePlan), "it goes on as it was until then"
    new = local_key(changed.url, changed.key)
    history.tell(events.RelaysLoaded(1, {2: new}, {}))
    assert planned(history)[1][2] == new
    history.tell(events.RelaysLoaded(1, {}, {2: "refused"}))
    assert [each[0] for each in planned(history)] == [1]


def test_what_is_not_wanted_any_more_is_taken_away(history: History) -> None:
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    change(history, NATIVE)
    assert history.of(actions.Relay) == [actions.Relay({})]
    assert [each[0] for each in planned(history)] == [1]


def test_the_end_of_the_run_is_the_end_of_its_application(history: History) -> None:
    history.begun()
    history.tell(StopStream(stream_id=1, run_id="r1", timestamp=history.now))
    assert not history.of(actions.Relay), "while its playout lives it has somewhere to leave"
    history.tell(events.PlayoutExited(1, "r1", history.state.runs[1].pid, "stopped"))
    assert history.of(actions.Relay) == [actions.Relay({})]
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    assert not history.did


def test_the_next_run_of_the_stream_hears_of_it_too(history: History) -> None:
    history.begun()
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    history.start("r2", at=history.now + 1, push_urls=BOTH)
    history.exited()
    assert history.of(actions.Relay) == [actions.Relay({1: (RELAYED,)})]
    assert [each[0] for each in planned(history)] == [1]
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    assert [each[0] for each in planned(history)] == [1, 2]


def test_what_is_switched_off_stays_loaded(history: History) -> None:
    history.tell(events.RelaysLoaded(1, {2: LOCAL}, {}))
    change(history, NATIVE, replace(RELAYED, enabled=False))
    assert history.of(actions.Relay)[0].wanted[1][0].id == 2
    assert [each["enabled"] for each in history.of(actions.WritePlan)[0].plan["destinations"]] == [True, False]


def test_one_that_can_never_be_is_not_asked_for() -> None:
    history = History()
    history.start(push_urls=(NATIVE, replace(RELAYED, key="a;b")))
    assert not history.of(actions.Relay)
    assert state(history)[0] == "failed"


def test_an_adopted_playout_is_left_where_it_is() -> None:
    history = History()
    history.tell(events.Adopted(replace(record(), config=config(push_urls=BOTH)), True, None, 3.0))
    assert [each[0] for each in planned(history)] == [1, 2]
    assert planned(history)[1][2] == LOCAL
    assert history.of(actions.Relay) == [actions.Relay({1: (RELAYED,)})]


def test_keys_are_not_in_a_repr() -> None:
    assert "hidden" not in repr(actions.Relay({1: (RELAYED,)}))
