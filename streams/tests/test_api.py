import pytest
from django.test import Client

from accounts.models import User
from streams.models import Progress, Run, Status, Stream
from streams.tests import build

ROUTES = [
    ("get", "/api/streams/{pk}"),
    ("get", "/api/streams/{pk}/progress"),
    ("post", "/api/streams/{pk}/start"),
    ("post", "/api/streams/{pk}/stop"),
]


def browser(user: User | None, **options) -> Client:
    client = Client(**options)
    if user is not None:
        client.force_login(user)
    return client


@pytest.mark.parametrize(("method", "route"), [*ROUTES, ("get", "/api/streams/")])
def test_nobody_is_asked_to_sign_in(stream, method, route):
    answer = getattr(browser(None), method)(route.format(pk=stream.pk))
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": "unauthenticated", "message": "Sign in first."}}


@pytest.mark.parametrize(("method", "route"), ROUTES)
def test_a_stranger_gets_the_404_of_what_is_not_there(stream, bob, method, route):
    answers = [getattr(browser(bob), method)(route.format(pk=pk)) for pk in (stream.pk, 999_999)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["error"]["code"] == "not_found"
    assert not Run.objects.exists()


@pytest.mark.parametrize(("method", "route"), ROUTES[:3])
def test_the_owner_and_an_operator_may(stream, alice, operator, method, route):
    for user in (alice, operator):
        Stream.objects.update(status=Status.INACTIVE)
        assert getattr(browser(user), method)(route.format(pk=stream.pk)).status_code == 200


@pytest.mark.parametrize("route", ["/api/streams/{pk}/start", "/api/streams/{pk}/stop"])
def test_without_a_csrf_token_nothing_is_done(stream, alice, route):
    answer = browser(alice, enforce_csrf_checks=True).post(route.format(pk=stream.pk))
    assert answer.status_code == 403
    assert not Run.objects.exists()


def test_start_and_stop_answer_with_what_is_now(stream, alice, vps):
    client = browser(alice)
    started = client.post(f"/api/streams/{stream.pk}/start").json()
    assert (started["status"], started["title"]) == ("STARTING", "Channel")
    assert client.post(f"/api/streams/{stream.pk}/stop").json()["status"] == "STOPPING"


def test_a_refusal_has_a_code_and_words(stream, alice):
    answer = browser(alice).post(f"/api/streams/{stream.pk}/stop")
    assert answer.status_code == 409
    assert answer.json() == {"error": {"code": "wrong_state", "message": "The stream is already off air."}}


def test_a_malformed_request_is_told_where(alice):
    answer = browser(alice).get("/api/streams/?limit=many")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "malformed"


def test_progress_is_the_newest_step(stream, alice, vps):
    client = browser(alice)
    url = f"/api/streams/{stream.pk}/progress"
    assert client.get(url).json() == {
        "stage": None, "progress": 0, "message": "", "status": "INACTIVE", "at": None,
    }  # fmt: skip
    run = build.starting_run(stream, vps)
    for percent in (5, 30):
        Progress.objects.create(stream=stream, run=run, stage="downloading", percent=percent, message=f"{percent} MiB")
    answer = client.get(url).json()
    assert (answer["stage"], answer["progress"], answer["message"]) == ("downloading", 30, "30 MiB")


def test_the_list_is_ones_own_paged_and_without_keys(alice, bob, django_assert_max_num_queries):
    for number in range(30):
        build.stream(alice, f"stream {number}")
    build.stream(bob, "Bobs")
    client = browser(alice)
    with django_assert_max_num_queries(12):
        answer = client.get("/api/streams/?limit=10&offset=5").json()
    assert (answer["count"], len(answer["items"])) == (30, 10)
    assert client.get(f"/api/streams/?offset={10**30}").json() == {"items": [], "count": 30}
    keys = [row.destination.key() for stream in alice.streams.all() for row in stream.outputs.all()]
    assert not any(key in str(answer) for key in keys)
