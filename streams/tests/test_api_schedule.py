from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from streams.models import Schedule
from streams.tests.test_api import browser

EVENINGS = {"kind": "weekly", "days": [4, 5], "opens": "20:00", "closes": "01:00"}


def url(stream) -> str:
    return f"/api/streams/{stream.pk}/schedule"


def put(user, stream, *rules, zone="Europe/Berlin", **more):
    body = {"zone": zone, "rules": rules} | more
    return browser(user).put(url(stream), body, content_type="application/json")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_nobody_is_asked_to_sign_in_and_a_stranger_finds_nothing(stream, bob, method):
    body = {"zone": "UTC", "rules": [EVENINGS]}
    for user, status in ((None, 401), (bob, 404)):
        answer = getattr(browser(user), method)(url(stream), body, content_type="application/json")
        assert answer.status_code == status
    assert not Schedule.objects.exists()


def test_without_one_there_is_nothing(stream, alice):
    assert browser(alice).get(url(stream)).status_code == 404


def test_it_is_set_read_and_taken_away(stream, alice, operator):
    once = {"kind": "once", "starts": "2027-06-01T10:00", "ends": "2027-06-01T12:00"}
    daily = {"kind": "daily", "opens": "06:00", "closes": "07:00"}
    answer = put(alice, stream, EVENINGS, daily, once)
    assert answer.status_code == 200, answer.content
    body = browser(operator).get(url(stream)).json()
    assert answer.json() == body
    assert (body["zone"], body["on"], body["rules"]) == ("Europe/Berlin", True, [EVENINGS, daily, once])
    starts = [datetime.fromisoformat(each["start"]) for each in body["next"]]
    assert len(starts) == 5
    assert starts == sorted(starts)
    assert all(start.utcoffset() is not None for start in starts)
    assert browser(alice).delete(url(stream)).status_code == 204
    assert browser(alice).delete(url(stream)).status_code == 204
    assert browser(alice).get(url(stream)).status_code == 404


def test_what_was_read_can_be_put_back(stream, alice):
    put(alice, stream, EVENINGS)
    body = browser(alice).get(url(stream)).json()
    before = Schedule.objects.values().get()
    put(alice, stream, *body["rules"], zone=body["zone"], on=body["on"])
    assert Schedule.objects.values().get() == before


def test_every_day_of_the_week_is_daily(stream, alice):
    body = put(alice, stream, EVENINGS | {"days": list(range(7))}).json()
    assert body["rules"] == [{"kind": "daily", "opens": "20:00", "closes": "01:00"}]


def test_off_is_kept(stream, alice):
    assert put(alice, stream, EVENINGS, on=False).json()["on"] is False


WRONG = [
    ({"zone": "Mars/Olympus"}, EVENINGS, "zone"),
    ({}, {"kind": "once", "starts": "2001-01-01T10:00", "ends": "2001-01-01T11:00"}, "rules.0"),
    ({}, {"kind": "once", "starts": "2027-01-01T10:00+02:00", "ends": "2027-01-01T11:00+02:00"}, "rules.0"),
    ({}, EVENINGS | {"days": []}, "rules.0"),
    ({}, EVENINGS | {"days": [7]}, "rules.0"),
    ({}, EVENINGS | {"closes": "20:00"}, "rules.0"),
]


@pytest.mark.parametrize(("more", "rule", "field"), WRONG)
def test_what_is_refused_is_said_by_its_field(stream, alice, more, rule, field):
    answer = put(alice, stream, rule, **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
    assert list(answer.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize(
    "rule", [{"kind": "hourly"}, EVENINGS | {"opens": "late"}, EVENINGS | {"days": ["Monday"]}, "daily"]
)
def test_what_is_malformed_is_told_where(stream, alice, rule):
    answer = put(alice, stream, rule)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "malformed")


def test_a_window_open_now_is_named(stream, alice):
    now = timezone.now().replace(second=0, microsecond=0)
    start, end = now - timedelta(minutes=30), now + timedelta(minutes=30)
    rule = {"kind": "once", "starts": f"{start:%Y-%m-%dT%H:%M}", "ends": f"{end:%Y-%m-%dT%H:%M}"}
    Schedule.objects.create(stream=stream, zone="UTC", rules=[rule])
    body = browser(alice).get(url(stream)).json()
    moments = [datetime.fromisoformat(body["open"][edge]) for edge in ("start", "end")]
    assert (moments, body["next"]) == ([start, end], [])


def test_a_token_is_wanted(stream, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert (
        client.put(url(stream), {"zone": "UTC", "rules": [EVENINGS]}, content_type="application/json").status_code
        == 403
    )
    assert client.delete(url(stream)).status_code == 403
