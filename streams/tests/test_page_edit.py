from django.urls import reverse

from streams.models import Status
from streams.tests import build
from streams.tests.pages import CANARY, assert_login_wanted, browser, form_of


def url(stream) -> str:
    return reverse("streams:edit", args=[stream.pk])


def test_it_asks_for_login(stream):
    assert_login_wanted(url(stream))


def test_a_stranger_sees_nothing(stream, bob):
    assert browser(bob).get(url(stream)).status_code == 404
    assert browser(bob).post(url(stream), form_of(bob)).status_code == 404


def test_it_shows_the_stream_as_it_is(stream, alice):
    answer = browser(alice).get(url(stream))
    assert [entry.file.pk for entry in answer.context["entries"]] == list(
        stream.items.values_list("file_id", flat=True)
    )
    assert all(choice["chosen"] and choice["enabled"] for choice in answer.context["choices"])


def test_it_changes_the_stream(stream, alice):
    browser(alice).post(url(stream), form_of(alice, title="Another name"))
    stream.refresh_from_db()
    assert (stream.title, stream.items.count(), stream.outputs.count()) == ("Another name", 1, 1)


def test_it_changes_it_on_air_too(stream, alice, vps):
    build.running(stream, vps)
    page = browser(alice).get(url(stream)).content.decode()
    assert "taken over without disconnecting" in page
    assert "Save and start" not in page
    browser(alice).post(url(stream), form_of(alice, title="Another name"))
    stream.refresh_from_db()
    assert (stream.title, stream.state) == ("Another name", Status.STREAMING)


def test_an_error_changes_nothing(stream, alice):
    browser(alice).post(url(stream), form_of(alice, title="Another name", playlist=[]))
    stream.refresh_from_db()
    assert (stream.title, stream.items.count()) == ("Channel", 2)


def test_an_operator_changes_it_with_its_owner_s_videos(stream, alice, operator):
    client = browser(operator)
    build.file(alice, "Hers")
    assert "Hers" in client.get(url(stream)).content.decode()
    assert "Hers" in client.get(reverse("streams:pick"), {"stream": stream.pk}).content.decode()
    client.post(url(stream), form_of(alice, title="Mended"))
    stream.refresh_from_db()
    assert (stream.title, stream.owner) == ("Mended", alice)


def test_an_operator_adds_no_destination_for_somebody_else(stream, alice, operator):
    before = alice.destinations.count()
    browser(operator).post(url(stream), form_of(operator, name="Mine", key=CANARY, do="destination"))
    assert alice.destinations.count() == before


def test_a_stranger_searches_nobody_s_library(stream, bob):
    assert browser(bob).get(reverse("streams:pick"), {"stream": stream.pk}).status_code == 404
