"""«Test connection»: asked of a VPS, looked at until there is an answer, and never in anybody's way (DST-6)."""

import threading
import time
import uuid

import pytest
import time_machine
from django.core.cache import cache
from django.urls import reverse

from accounts.models import AuditEntry
from agent.protocol import DestinationTested, TestDestination
from fleet import answers
from streams import actions
from streams.actions import testing
from streams.errors import KeyInUse, NotReady, TooOften
from streams.spec import DestinationSpec
from streams.tests import build
from streams.tests.pages import CANARY, assert_login_wanted, browser

START = reverse("streams:destination_test")
FORM = {"platform": "custom", "name": "", "url": "rtmp://tube.example.org/app", "key": CANARY, "via": "native"}


@pytest.fixture
def place(alice):
    return build.destination(alice, "Harbour", key=CANARY, url="rtmp://tube.example.org/app")


def answer(test, state="ok", message="", took_ms=84, **fields):
    """What its agent says."""
    values = {"vps_id": test.vps_id, "timestamp": time.time(), "test_id": test.id} | fields
    return answers.forward(DestinationTested(state=state, message=message, took_ms=took_ms, **values))


def now(alice, test, wait_s=0.05):
    return actions.find_test(alice, test.id, wait_s)


# ------------------------------------------------------------------------------------------------ the verb


def test_a_vps_is_asked_with_the_key_and_nobody_else_sees_it(place, alice, ear):
    test = actions.test_destination(place, alice)
    [asked] = ear.heard()
    assert isinstance(asked, TestDestination)
    assert (asked.test_id, asked.url, asked.key, asked.via) == (test.id, place.url, CANARY, "native")
    assert (test.state, test.server, test.vps) == ("waiting", "tube.example.org", "vps-1")
    assert CANARY not in repr(test) + repr(asked)
    assert CANARY not in str(cache.get(f"connection-test:{test.id}"))


@pytest.mark.parametrize("state", ["ok", "refused", "failed", "unreachable"])
def test_its_answer_is_what_the_agent_said(place, alice, ear, state):
    test = actions.test_destination(place, alice)
    assert now(alice, test).state == "waiting"
    answer(test, state, "in plain words", 84)
    for _ in range(2):  # and again by whoever looks later
        seen = now(alice, test)
        assert (seen.state, seen.message, seen.took_ms, seen.is_over) == (state, "in plain words", 84, True)


def test_another_vps_answers_nothing(place, alice, ear):
    test = actions.test_destination(place, alice)
    answer(test, vps_id=test.vps_id + 1)
    assert now(alice, test).state == "waiting"


def test_an_agent_that_says_nothing_is_not_waited_for(place, alice, ear):
    test = actions.test_destination(place, alice)
    with time_machine.travel(time.time() + testing.LIMIT_S + 1, tick=True):
        assert now(alice, test).state == "silent"
        answer(test)  # too late: what was shown stays
        assert now(alice, test).state == "silent"


def test_a_stranger_s_test_is_not_there(place, alice, bob, ear):
    test = actions.test_destination(place, alice)
    assert actions.find_test(bob, test.id, 0.01) is None
    assert actions.find_test(alice, str(uuid.uuid4()), 0.01) is None


def test_the_least_loaded_vps_is_asked_even_a_full_one(place, alice):
    build.vps("busy", cpu=80)
    quiet = build.vps("quiet", cpu=5, max_streams=0)
    build.vps("gone", cpu=1, last_heartbeat_at=build.ago(600))
    build.vps("leaving", cpu=1, accepting=False)
    build.vps("resting", cpu=1, status="INACTIVE")
    listening = build.Ear(quiet.pk)
    assert actions.test_destination(place, alice).vps == "quiet"
    listening.close()


def test_the_next_one_is_asked_when_an_agent_is_just_away(place, alice, ear, vps):
    build.vps("deaf", cpu=1)
    assert actions.test_destination(place, alice).vps == vps.name


def test_without_a_vps_there_is_a_plain_word(place, alice):
    build.vps("gone", last_heartbeat_at=build.ago(600))
    build.vps("deaf")
    with pytest.raises(NotReady, match="No VPS can be reached"):
        actions.test_destination(place, alice)


def test_a_key_on_air_is_left_alone(place, alice, bob, vps, ear):
    stream = build.stream(alice, "Evening", outputs=0)
    stream.outputs.create(destination=place)
    build.running(stream, vps)
    with pytest.raises(KeyInUse, match="«Evening» is on air with this key"):
        actions.test_destination(place, alice)
    same = build.destination(bob, key=CANARY, url="rtmps://tube.example.org:443/app/")
    with pytest.raises(KeyInUse, match="in another account"):
        actions.test_destination(same, bob)
    stream.outputs.update(enabled=False)
    actions.test_destination(place, alice)
    assert len(ear.heard()) == 1


def test_ten_a_minute_are_enough(place, alice, bob, ear):
    for _ in range(10):
        actions.test_destination(place, alice)
    with pytest.raises(TooOften, match="10 tests in a minute"):
        actions.test_destination(place, alice)
    actions.test_destination(build.destination(bob), bob)
    with time_machine.travel(time.time() + 61, tick=True):
        testing._check_rate(alice)
    assert len(ear.heard()) == 11


def test_it_is_written_down_without_the_key(place, alice, ear):
    actions.test_destination(place, alice)
    entry = AuditEntry.objects.get(verb="test")
    assert (entry.actor, entry.target_id) == (alice, str(place.pk))
    assert entry.details == {"server": "tube.example.org", "via": "native"}


def test_an_empty_key_stands_for_the_kept_one(place, alice, ear):
    typed = DestinationSpec("custom", "", "rtmp://other.example.org/app", None, "ffmpeg")
    actions.test_typed(alice, typed, alice, place)
    [asked] = ear.heard()
    assert (asked.url, asked.key, asked.via) == ("rtmp://other.example.org/app", CANARY, "ffmpeg")


# ------------------------------------------------------------------------------------------------ the pages


def test_it_wants_a_login_and_a_post_and_the_owner(place, alice, bob, operator):
    saved = reverse("streams:destination_test_saved", args=[place.pk])
    for url in (START, saved):
        assert_login_wanted(url, "post")
        assert browser(alice).get(url).status_code == 405
    for other in (bob, operator):
        assert browser(other).post(saved).status_code == 404
        assert browser(other).post(f"{START}?destination={place.pk}", FORM).status_code == 404


def test_without_javascript_a_page_loads_itself_until_there_is_an_answer(place, alice, ear):
    client = browser(alice)
    shown = client.post(reverse("streams:destination_test_saved", args=[place.pk]))
    page = client.get(shown["Location"])
    assert '<meta http-equiv="refresh" content="1">' in page.content.decode()
    assert "«vps-1» is connecting to tube.example.org" in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    [asked] = ear.heard()
    answer(cache.get(f"connection-test:{asked.test_id}"))
    page = client.get(shown["Location"]).content.decode()
    assert "Connected in 84 ms" in page
    assert "refresh" not in page
    assert CANARY not in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("ok", "Connected in 84 ms"),
        ("refused", "tube.example.org refuses it"),
        ("unreachable", "tube.example.org cannot be reached"),
        ("failed", "It does not work like this"),
    ],
)
def test_in_place_it_asks_again_until_there_is_an_answer(alice, ear, state, words):
    client = browser(alice)
    part = client.post(START, FORM, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="load"' in part
    assert "<html" not in part
    [asked] = ear.heard()
    address = reverse("streams:destination_test_result", args=[asked.test_id])
    assert address in part
    answer(cache.get(f"connection-test:{asked.test_id}"), state, "The agent's own <words>.")
    part = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert words in part
    assert "hx-get" not in part
    assert ("The agent&#x27;s own &lt;words&gt;." in part) == (state != "ok")
    assert CANARY not in part


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://x/y"}, "must start with rtmp://"),
        ({"url": "rtmp://[::1/live"}, "not an address"),
        ({"key": ""}, "Paste the stream key"),
        ({"key": 'a"b'}, "no spaces, quotes"),
        ({"via": "nginx", "url": "rtmps://x.example/app"}, "nginx cannot encrypt"),
        ({"via": "carrier pigeon"}, "valid choice"),
    ],
)
def test_what_is_wrong_is_said_and_nobody_is_asked(alice, ear, changes, words):
    for headers in ({}, {"HX-Request": "true"}):
        page = browser(alice).post(START, FORM | changes, headers=headers).content.decode()
        assert "Not tested" in page
        assert words in page
        assert CANARY not in page
    assert ear.heard() == []


def test_a_refusal_is_said_in_place(place, alice):
    part = browser(alice).post(START, FORM, headers={"HX-Request": "true"}).content.decode()
    assert "No VPS can be reached" in part


def test_a_test_that_is_gone_is_a_404(alice):
    assert browser(alice).get(reverse("streams:destination_test_result", args=[uuid.uuid4()])).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_looking_takes_less_than_a_second_and_comes_back_at_the_answer(alice, ear):
    client = browser(alice)
    client.post(START, FORM)
    [asked] = ear.heard()
    test = cache.get(f"connection-test:{asked.test_id}")
    began = time.monotonic()
    assert now(alice, test, testing.WAIT_S).state == "waiting"
    assert time.monotonic() - began < 4 * testing.WAIT_S
    threading.Timer(0.1, answer, [test]).start()
    assert now(alice, test, 20).state == "ok"
