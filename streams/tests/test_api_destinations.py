import json
import time

import pytest

from agent.protocol import DestinationTested
from fleet import answers
from streams.models import Destination
from streams.tests import build
from streams.tests.pages import CANARY, browser

LIST = "/api/destinations/"
BODY = {"name": "Mine", "url": "rtmps://a.rtmps.youtube.com:443/live2", "platform": "youtube", "key": CANARY}


def send(client, method, url, body=None):
    if method == "get":
        return client.get(url)
    return getattr(client, method)(url, json.dumps(body or {}), content_type="application/json")


@pytest.fixture
def place(alice):
    return build.destination(alice, "Harbour", key=CANARY)


def test_create_list_get_change_delete(alice):
    client = browser(alice)
    made = send(client, "post", LIST, BODY)
    assert made.status_code == 201
    row = Destination.objects.get()
    assert made.json() == {
        "id": row.pk, "name": "Mine", "url": BODY["url"], "platform": "youtube", "via": "native",
        "renew_every_h": None, "streams": [],
    }  # fmt: skip
    assert (row.owner, row.key()) == (alice, CANARY)
    assert client.get(LIST).json() == {"items": [made.json()], "count": 1}
    changed = send(client, "patch", f"{LIST}{row.pk}", {"name": "Yours", "via": "ffmpeg"})
    assert (changed.json()["name"], changed.json()["via"], changed.json()["url"]) == ("Yours", "ffmpeg", BODY["url"])
    row.refresh_from_db()
    assert row.key() == CANARY
    assert send(client, "patch", f"{LIST}{row.pk}", {"renew_every_h": 6}).json()["renew_every_h"] == 6
    send(client, "patch", f"{LIST}{row.pk}", {"key": "another"})
    row.refresh_from_db()
    assert (row.key(), row.renew_every_h) == ("another", 6)
    assert send(client, "patch", f"{LIST}{row.pk}", {"renew_every_h": None}).json()["renew_every_h"] is None
    assert client.delete(f"{LIST}{row.pk}").status_code == 204
    assert client.get(LIST).json() == {"items": [], "count": 0}
    assert client.get(f"{LIST}{row.pk}").status_code == 404


def test_no_answer_has_a_key(place, alice):
    client = browser(alice)
    answers_ = [
        client.get(LIST),
        client.get(f"{LIST}{place.pk}"),
        send(client, "patch", f"{LIST}{place.pk}", {"name": "x", "key": CANARY}),
        send(client, "post", LIST, BODY | {"url": "http://no"}),
        send(client, "post", LIST, BODY | {"key": [CANARY]}),
    ]
    assert not any(CANARY.encode() in answer.content for answer in answers_)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://example.org/a"}, "url"),
        ({"name": " "}, "name"),
        ({"platform": "myspace"}, "platform"),
        ({"key": ""}, "key"),
        ({"via": "nginx"}, "via"),
        ({"via": "pigeon"}, "via"),
    ],
)
def test_what_is_wrong_is_said_by_field(alice, changes, field):
    answer = send(browser(alice), "post", LIST, BODY | changes)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"
    assert set(answer.json()["error"]["fields"]) == {field}
    assert not Destination.objects.exists()


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_a_stranger_and_an_operator_find_nothing(place, bob, operator, method):
    for other in (bob, operator):
        answer = send(browser(other), method, f"{LIST}{place.pk}", {"name": "Taken"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        assert browser(other).get(LIST).json()["count"] == 0
    place.refresh_from_db()
    assert (place.name, place.deleted_at) == ("Harbour", None)


def test_nobody_is_asked_to_sign_in(place):
    assert browser().get(LIST).status_code == 401
    assert send(browser(), "post", LIST, BODY).status_code == 401


def test_one_on_air_is_not_deleted(place, alice, vps):
    stream = build.stream(alice, outputs=0)
    stream.outputs.create(destination=place)
    build.running(stream, vps)
    answer = browser(alice).delete(f"{LIST}{place.pk}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "in_use")
    assert browser(alice).get(f"{LIST}{place.pk}").json()["streams"] == [stream.pk]


def test_a_connection_is_tested(place, alice, ear):
    client = browser(alice)
    begun = client.post(f"{LIST}{place.pk}/test")
    assert (begun.status_code, begun.json()["state"]) == (202, "waiting")
    [asked] = ear.heard()
    said = DestinationTested(
        vps_id=ear.vps_id, timestamp=time.time(), test_id=asked.test_id, state="refused", message="wrong key", took_ms=9
    )
    answers.forward(said)
    result = client.get(f"{LIST}tests/{begun.json()['id']}").json()
    assert (result["state"], result["message"], result["took_ms"]) == ("refused", "wrong key", 9)


def test_the_eleventh_in_a_minute_is_too_often(place, alice, ear):
    client = browser(alice)
    codes = [client.post(f"{LIST}{place.pk}/test").status_code for _ in range(11)]
    assert codes == [202] * 10 + [429]
