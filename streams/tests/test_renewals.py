"""Planned renewals on this side of the wire: what is asked of the agent, what is shown, and «connect anew now»."""

from dataclasses import replace

import pytest
from django.urls import reverse
from django.utils import timezone

from agent.protocol import Renewal
from streams import actions, commanding, platforms
from streams.errors import Invalid, NotDone, WrongState
from streams.inbox import Inbox
from streams.models import Destination, Run, RunEvent, Stream
from streams.spec import DestinationSpec
from streams.tests import build
from streams.tests.pages import browser, form_of, said
from streams.tests.steering import answering, on_air


@pytest.mark.parametrize(
    ("platform", "wanted_h", "hours"),
    [
        ("youtube", None, 11.5),
        ("facebook", None, 7.5),
        ("twitch", None, 47.5),
        ("kick", None, None),
        ("custom", None, None),
        ("youtube", 0, None),
        ("youtube", 6, 6),
        ("custom", 24, 24),
    ],
)
def test_the_owner_decides_or_else_the_platform(alice, platform, wanted_h, hours):
    place = build.destination(alice, platform=platform, renew_every_h=wanted_h)
    assert platforms.renew_every_s(place) == (None if hours is None else hours * 3600)


def test_it_is_in_the_command_and_a_change_reaches_what_is_on_air(stream, vps, alice, ear):
    run = build.running(stream, vps)
    Run.objects.filter(pk=run.pk).update(fingerprint=commanding.config_of(run).fingerprint)
    row = stream.outputs.first().destination
    spec = DestinationSpec("custom", "x", row.url, None, renew_every_h=5)
    before = Run.objects.get().fingerprint
    actions.save_destination(alice, spec, alice, row)
    assert Run.objects.get().fingerprint != before
    assert commanding.config_of(run).push_urls[0].renew_every_s == 5 * 3600


def test_a_planned_restart_is_in_the_command(stream, vps, alice):
    Stream.objects.update(restart_every_h=24)
    assert commanding.config_of(build.running(Stream.objects.get(), vps)).restart_every_s == 86400


@pytest.mark.parametrize("hours", [-1, 169])
def test_hours_have_bounds(alice, hours):
    with pytest.raises(Invalid):
        actions.save_destination(alice, DestinationSpec("custom", "x", "rtmp://h/a", "k", renew_every_h=hours), alice)
    with pytest.raises(Invalid):
        actions.create(alice, build.spec(alice, restart_every_h=hours))


@pytest.mark.parametrize(("typed", "stored"), [("", None), ("0", 0), ("6", 6)])
def test_it_is_typed_beside_the_destination(alice, typed, stored):
    body = {"platform": "youtube", "name": "Mine", "url": "", "key": "k", "renew_every_h": typed}
    browser(alice).post(reverse("streams:destination_new"), body)
    assert Destination.objects.get().renew_every_h == stored
    page = browser(alice).get(reverse("streams:destination_edit", args=[Destination.objects.get().pk]))
    assert "YouTube 12 h, Twitch 48 h, Facebook 8 h" in page.content.decode()


@pytest.mark.parametrize(("typed", "stored"), [("", None), ("0", None), ("24", 24)])
def test_the_restart_is_typed_into_the_stream_s_page(alice, typed, stored):
    browser(alice).post(reverse("streams:new"), form_of(alice, restart_every_h=typed))
    stream = Stream.objects.get()
    assert stream.restart_every_h == stored
    assert actions.duplicate(stream, alice).restart_every_h == stored


def test_what_is_out_of_bounds_is_said_beside_the_field(alice):
    page = browser(alice).post(reverse("streams:new"), form_of(alice, restart_every_h="1000")).content.decode()
    assert "168" in page
    assert not Stream.objects.exists()


# ------------------------------------------------------------------------------------------------ shown


def reported(run, vps, **renewal):
    """What the first destination's agent says of it."""
    report = build.report(run)
    first = replace(report.destinations[0], renewal=Renewal(**renewal))
    whole = replace(report, destinations=(first, *report.destinations[1:]))
    Inbox().apply([build.heartbeat(vps, whole, timestamp=timezone.now().timestamp())], timezone.now())


def test_the_page_says_when_it_was_and_when_it_is_next(stream, vps, alice):
    run = on_air(stream, vps)
    now = timezone.now().timestamp()
    reported(run, vps, count=1, at=now, off_s=0.4, next_from=now + 600, next_by=now + 1200)
    page = browser(alice).get(reverse("streams:show", args=[stream.pk])).content.decode()
    assert "renewed as planned at" in page
    assert "0.4 s off air" in page
    assert ">next " in page
    shown = browser(alice).get(f"/api/streams/{stream.pk}").json()["destinations"][0]
    assert (shown["renewed_off_s"], shown["renewed_at"] is None, shown["renew_by"] is None) == (0.4, False, False)


def test_it_is_told_in_the_timeline_and_is_no_reconnect(stream, vps):
    run = on_air(stream, vps)
    reported(run, vps, count=0)
    reported(run, vps, count=1, at=1.0, off_s=0.4)
    [row] = RunEvent.objects.all()
    assert (row.kind, row.facts["off_s"], row.facts["asked"]) == ("renewed", 0.4, False)
    assert Run.objects.get().reconnects == 0


def test_while_it_is_renewed_nothing_is_alarmed(stream, vps, alice):
    run = on_air(stream, vps)
    report = build.report(run)
    renewing = replace(report.destinations[0], state="renewing", renewal=Renewal())
    whole = replace(report, destinations=(renewing, *report.destinations[1:]))
    Inbox().apply([build.heartbeat(vps, whole, timestamp=timezone.now().timestamp())], timezone.now())
    shown = browser(alice).get(f"/api/streams/{stream.pk}").json()
    assert (shown["headline"], shown["destinations"][0]["state"]) == ("On air", "renewing")
    assert not RunEvent.objects.exists()


# ------------------------------------------------------------------------------------------------ now


def test_it_is_connected_anew_by_button(stream, vps, alice):
    on_air(stream, vps)
    output = stream.outputs.first()
    url = reverse("streams:renew", args=[stream.pk, output.pk])
    with answering(vps) as agent:
        answer = browser(alice).post(url, follow=True)
    [command] = agent.heard
    assert (command.order, command.destination_id, command.item_id) == ("renew", output.pk, None)
    assert said(answer) == ["«place 0» is being connected anew."]
    row = RunEvent.objects.get()
    assert (row.kind, row.facts, row.actor) == ("steered", {"order": "renew", "item": "place 0"}, alice)


def test_and_by_api(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps):
        answer = browser(alice).post(f"/api/streams/{stream.pk}/outputs/{stream.outputs.first().pk}/renew").json()
    assert answer["answered"] is True


def test_what_the_server_says_against_it_is_passed_on(stream, vps, alice):
    """An agent of before does not know the order."""
    on_air(stream, vps)
    refusing = answering(vps, lambda _command: {"ok": False, "message": "there is no such order"})
    with refusing, pytest.raises(NotDone, match="no such order"):
        actions.renew(stream.outputs.first(), alice)


def test_no_answer_is_said(stream, vps, alice):
    on_air(stream, vps)
    with answering(vps, lambda _command: None):
        outcome = actions.renew(stream.outputs.first(), alice)
    assert outcome.answered is False
    assert RunEvent.objects.get().facts["answered"] is False


def test_off_air_or_switched_off_there_is_nothing_to_renew(stream, vps, alice):
    output = stream.outputs.first()
    with pytest.raises(WrongState):
        actions.renew(output, alice)
    on_air(stream, vps)
    output.enabled = False
    output.save()
    with pytest.raises(WrongState):
        actions.renew(output, alice)


def test_it_is_not_an_order_like_the_others(stream, vps, alice):
    on_air(stream, vps)
    with pytest.raises(Invalid):
        actions.steer(stream, "renew", alice)
