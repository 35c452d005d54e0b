"""The live picture: put by the run's agent, seen by who may see the stream, gone with the run."""

import pytest
from django.test import Client
from django.urls import reverse

from streams import pictures
from streams.lifecycle import Event, fire
from streams.tests import build

JPEG = b"\xff\xd8\xff\xe0" + bytes(1000)


@pytest.fixture
def run(stream, vps):
    return build.running(stream, vps)


def address(run):
    return "/streams" + pictures.upload_url(run).partition("/streams")[2]


def put(run, body=JPEG):
    return Client().put(address(run), body, content_type="image/jpeg")


def test_it_is_put_by_the_agent_and_shown_to_the_owner(run, stream, alice, client_of):
    assert put(run).status_code == 204
    answer = client_of(alice).get(reverse("streams:picture", args=[stream.pk]))
    assert answer.content == JPEG
    assert answer["Content-Type"] == "image/jpeg"
    assert b"/picture?at=" in client_of(alice).get(reverse("streams:show", args=[stream.pk])).content


def test_a_stranger_sees_none(run, stream, bob, client_of):
    put(run)
    assert client_of(bob).get(reverse("streams:picture", args=[stream.pk])).status_code == 404


def test_before_the_first_there_is_none(run, stream, alice, client_of):
    assert client_of(alice).get(reverse("streams:picture", args=[stream.pk])).status_code == 404
    assert b"/picture?at=" not in client_of(alice).get(reverse("streams:show", args=[stream.pk])).content


def test_an_address_that_was_changed_is_refused(run):
    assert Client().put(address(run)[:-2] + "xx", JPEG, content_type="image/jpeg").status_code == 403


@pytest.mark.parametrize("body", [b"", b"<svg onload=alert(1)>", JPEG + bytes(pictures.MAX_BYTES)])
def test_what_is_no_small_jpeg_is_refused(run, body):
    assert put(run, body).status_code in (400, 413)
    assert pictures.picture_of(run) is None


def test_only_a_put_will_do(run):
    assert Client().post(address(run), JPEG, content_type="image/jpeg").status_code == 405


def test_after_the_run_nothing_is_taken(run, stream):
    fire(stream.pk, Event.STOP, run_id=run.pk)
    fire(stream.pk, Event.STOPPED, run_id=run.pk)
    assert put(run).status_code == 410
