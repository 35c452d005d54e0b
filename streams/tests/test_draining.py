"""Operators drain a VPS: in one of two ways, with what is left shown."""

import pytest
from django.urls import reverse

from accounts.models import AuditEntry
from fleet.models import Vps, VpsStatus
from streams.models import Run, Status, Stream
from streams.tests import build
from streams.tests.pages import browser, said

LIST = "admin:fleet_vps_changelist"


@pytest.fixture
def vps(db):
    return build.vps()


def drain(operator, vps, action):
    return browser(operator).post(reverse(LIST), {"action": action, "_selected_action": [vps.pk]}, follow=True)


@pytest.mark.parametrize(
    ("action", "moves", "words"),
    [("drain", True, "1 stream left, moved one after another"), ("drain_softly", False, "1 stream left")],
)
def test_what_is_left_is_shown(operator, alice, vps, action, moves, words):
    build.running(build.stream(alice), vps)
    page = drain(operator, vps, action).content.decode()
    row = Vps.objects.get()
    assert (row.state, row.drain_moves, row.draining_since is None) == (VpsStatus.DRAINING, moves, False)
    assert words in page
    assert AuditEntry.objects.filter(verb="set draining").exists()


def test_the_way_is_changed_and_since_when_it_drains_stays(operator, vps):
    drain(operator, vps, "drain_softly")
    since = Vps.objects.get().draining_since
    drain(operator, vps, "drain")
    row = Vps.objects.get()
    assert (row.drain_moves, row.draining_since) == (True, since)
    drain(operator, vps, "activate")
    row = Vps.objects.get()
    assert (row.state, row.drain_moves, row.draining_since) == (VpsStatus.ACTIVE, False, None)


# ------------------------------------------------------------------------------------------------ one stream


def move_page(stream):
    return reverse("admin:streams_stream_move", args=[stream.pk])


def test_the_page_says_where_to_and_why_and_post_does_it(operator, alice, vps):
    other, best = build.vps("vps-2", cpu=80), build.vps("vps-3", cpu=1)
    stream = build.stream(alice)
    build.running(stream, vps)
    page = browser(operator).get(move_page(stream)).content.decode()
    for words in ["now on «vps-1»", "vps-2", "the best score", "it is there now"]:
        assert words in page
    assert f'value="{best.pk}" checked' in page
    answer = browser(operator).post(move_page(stream), {"vps": other.pk}, follow=True)
    assert said(answer) == ["«Channel» is being moved to «vps-2»."]
    run = Run.objects.get()
    assert (run.vps, run.left_vps, Stream.objects.get().state) == (other, vps, Status.STARTING)
    assert AuditEntry.objects.filter(verb="move elsewhere").exists()


def test_nowhere_to_go_is_said_with_the_reasons(operator, alice, vps):
    stream = build.stream(alice)
    build.running(stream, vps)
    assert "No other VPS can take it" in browser(operator).get(move_page(stream)).content.decode()
    [words] = said(browser(operator).post(move_page(stream), {}, follow=True))
    assert words.startswith("No other VPS can take it: vps-1 (it is there now)")


def test_off_air_there_is_nothing_to_move(operator, alice, vps):
    stream = build.stream(alice)
    assert said(browser(operator).get(move_page(stream), follow=True)) == ["«Channel» is not on air."]


def test_owners_have_no_business_there(alice, vps):
    stream = build.stream(alice)
    assert browser(alice).get(move_page(stream)).status_code == 302
