"""Start, stop, switch a destination, duplicate, delete: as the pages ask for them."""

import pytest
from django.urls import reverse

from streams.models import Run, Status, Stream
from streams.tests import build
from streams.tests.pages import assert_login_wanted, browser, said

HTMX = {"HTTP_HX_REQUEST": "true"}


def url(name, stream) -> str:
    return reverse(f"streams:{name}", args=[stream.pk])


def output_url(stream) -> str:
    return reverse("streams:output", args=[stream.pk, stream.outputs.first().pk])


@pytest.mark.parametrize("name", ["start", "stop", "duplicate", "output"])
def test_who_may_and_how(stream, bob, alice, name):
    target = output_url(stream) if name == "output" else url(name, stream)
    assert_login_wanted(target, "post")
    assert browser(bob).post(target).status_code == 404
    assert browser(alice).get(target).status_code == 405
    stream.refresh_from_db()
    assert (stream.state, Stream.objects.count()) == (Status.INACTIVE, 1)


def test_start(stream, alice):
    answer = browser(alice).post(url("start", stream), {"next": url("show", stream)})
    stream.refresh_from_db()
    assert (answer["Location"], stream.state) == (url("show", stream), Status.STARTING)


def test_start_pressed_twice_starts_once(stream, alice):
    client = browser(alice)
    client.post(url("start", stream))
    answer = client.post(url("start", stream), follow=True)
    assert Run.objects.count() == 1
    assert len(said(answer)) == 1


def test_start_in_place_answers_with_fragments(stream, alice):
    html = browser(alice).post(url("start", stream), **HTMX).content.decode()
    assert 'id="stream-state" hx-swap-oob="true"' in html
    assert "Starting" in html
    assert 'hx-swap-oob="outerHTML:.notes" hidden' in html


def test_start_in_the_list_answers_with_the_row(stream, alice):
    html = browser(alice).post(url("start", stream) + "?row", **HTMX).content.decode()
    assert f'id="stream-row-{stream.pk}" hx-swap-oob="true"' in html
    assert "stream-state" not in html.replace('class="stream-state"', "")


def test_a_refusal_in_place_is_said(stream, alice):
    stream.items.all().delete()
    html = browser(alice).post(url("start", stream), **HTMX).content.decode()
    assert "playlist is empty" in html
    assert 'hx-swap-oob="outerHTML:.notes" hidden' not in html


def test_the_way_back_is_ours(stream, alice):
    answer = browser(alice).post(url("start", stream), {"next": "https://evil.example/"})
    assert answer["Location"] == reverse("streams:list")


def test_stop(stream, alice, vps):
    build.running(stream, vps)
    browser(alice).post(url("stop", stream))
    stream.refresh_from_db()
    assert stream.state is Status.STOPPING


def test_stop_at_rest_is_refused_with_words(stream, alice):
    answer = browser(alice).post(url("stop", stream), follow=True)
    assert len(said(answer)) == 1


def test_an_operator_stops_somebody_s_stream(stream, operator, vps):
    build.running(stream, vps)
    browser(operator).post(url("stop", stream))
    stream.refresh_from_db()
    assert stream.state is Status.STOPPING


@pytest.mark.parametrize(("sent", "enabled"), [("0", False), ("1", True)])
def test_a_destination_is_switched(stream, alice, sent, enabled):
    output = stream.outputs.first()
    stream.outputs.update(enabled=not enabled)
    browser(alice).post(output_url(stream), {"enabled": sent})
    output.refresh_from_db()
    assert output.enabled is enabled


def test_the_last_one_on_air_stays_on(alice, vps):
    stream = build.stream(alice, outputs=1)
    build.running(stream, vps)
    answer = browser(alice).post(output_url(stream), {"enabled": "0"}, follow=True)
    assert "last destination" in said(answer)[0]
    assert stream.outputs.get().enabled


def test_a_destination_of_another_stream_is_not_found(stream, alice):
    other = build.stream(alice, outputs=1)
    target = reverse("streams:output", args=[stream.pk, other.outputs.get().pk])
    assert browser(alice).post(target, {"enabled": "0"}).status_code == 404


def test_duplicate(stream, alice):
    answer = browser(alice).post(url("duplicate", stream))
    copy = Stream.objects.exclude(pk=stream.pk).get()
    assert answer["Location"] == url("edit", copy)
    assert (copy.state, copy.items.count(), copy.outputs.count()) == (Status.INACTIVE, 2, 2)


def test_delete_asks_first(stream, alice, bob):
    assert_login_wanted(url("delete", stream))
    assert browser(bob).post(url("delete", stream)).status_code == 404
    assert "Delete «Channel»?" in browser(alice).get(url("delete", stream)).content.decode()
    assert Stream.objects.exists()
    assert browser(alice).post(url("delete", stream))["Location"] == reverse("streams:list")
    assert not Stream.objects.exists()


def test_delete_twice(stream, alice):
    client = browser(alice)
    client.post(url("delete", stream))
    assert client.post(url("delete", stream)).status_code == 404


def test_delete_on_air_is_refused_with_words(stream, alice, vps):
    build.running(stream, vps)
    answer = browser(alice).post(url("delete", stream), follow=True)
    assert "Stop it before you delete it" in said(answer)[0]
    assert Stream.objects.exists()
