import uuid
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

from agent.protocol import DestinationState
from streams import actions, lifecycle
from streams.lifecycle import Event
from streams.models import Progress, Run, Status, Stream
from streams.tests import build
from streams.tests.pages import assert_login_wanted, browser

SECTIONS = ["state", "figures", "destinations", "timeline", "now", "playlist", "runs", "log"]


def url(stream, name="show") -> str:
    return reverse(f"streams:{name}", args=[stream.pk])


def on_air(stream, vps, **fields) -> Run:
    """On air, with a report: the first item plays, the first destination is live, the second is refused."""
    run = build.running(stream, vps)
    items, outputs = list(stream.items.all()), list(stream.outputs.all())
    states = (
        DestinationState(id=outputs[0].pk, state="live", since=1.7e9, bitrate_kbps=2900.0),
        DestinationState(id=outputs[1].pk, state="refused", since=1.7e9, reason="Wrong key.", reconnects=3),
    )
    report = build.report(
        run, item_id=items[0].pk, position_s=2.0, duration_s=5.0, next_item_ids=(items[1].pk,), destinations=states
    )
    values = {"report": asdict(report), "reported_at": timezone.now(), "log_tail": ["[FFMPEG] frame=1"]} | fields
    Run.objects.filter(pk=run.pk).update(**values)
    return run


@pytest.mark.parametrize("name", ["show", "fragments"])
def test_who_may_see_it(stream, alice, bob, operator, name):
    assert_login_wanted(url(stream, name))
    assert browser(bob).get(url(stream, name)).status_code == 404
    assert browser(alice).get(url(stream, name)).status_code == 200
    assert browser(operator).get(url(stream, name)).status_code == 200
    assert browser(alice).post(url(stream, name)).status_code == 405


def test_at_rest_it_offers_start(stream, alice):
    page = browser(alice).get(url(stream)).content.decode()
    assert "Off air" in page
    assert f'formaction="{url(stream, "start")}"' in page
    assert f'formaction="{url(stream, "stop")}"' not in page


def test_on_air_it_tells_all(stream, alice, vps):
    on_air(stream, vps)
    page = browser(alice).get(url(stream)).content.decode()
    for words in [
        "On air at 1 of 2",
        "clip 0",
        "clip 1",
        "Wrong key.",
        "3 reconnects",
        "2.9 Mbit/s",
        "vps-1",
        "[FFMPEG]",
    ]:
        assert words in page
    assert f'formaction="{url(stream, "stop")}"' in page
    assert f'formaction="{url(stream, "start")}"' not in page


def test_a_silent_server_is_said(stream, alice, vps):
    on_air(stream, vps, reported_at=timezone.now() - settings.HEARTBEAT_FRESH * 2)
    page = browser(alice).get(url(stream)).content.decode()
    assert "Nothing was heard of the server lately" in page
    assert "data-tick-meter" not in page


def test_starting_it_shows_how_far(stream, alice, vps):
    run = build.starting_run(stream, vps)
    Progress.objects.create(stream=stream, run=run, stage="downloading", percent=35, message="Fetching clip 0")
    page = browser(alice).get(url(stream)).content.decode()
    assert "Fetching clip 0" in page
    assert 'value="35"' in page


def test_a_hanging_start_is_resolved_when_the_page_loads(stream, alice, vps):
    build.starting_run(stream, vps)
    Stream.objects.filter(pk=stream.pk).update(status_since=timezone.now() - timedelta(minutes=6))
    page = browser(alice).get(url(stream)).content.decode()
    stream.refresh_from_db()
    assert stream.state is Status.ERROR
    assert "made no progress" in page


def test_history_says_how_runs_ended(stream, alice, vps):
    run = on_air(stream, vps)
    Run.objects.filter(pk=run.pk).update(ended_at=timezone.now(), end_reason="lost", end_message="fra-1 went away")
    page = browser(alice).get(url(stream)).content.decode()
    assert "the VPS was lost" in page
    assert "fra-1 went away" in page


def test_fragments_are_the_page_s_own_parts(stream, alice, vps):
    on_air(stream, vps)
    client = browser(alice)
    page, parts = client.get(url(stream)).content.decode(), client.get(url(stream, "fragments")).content.decode()
    for section in SECTIONS:
        assert f'id="stream-{section}"' in page
        assert f'id="stream-{section}" hx-swap-oob="true"' in parts
    assert "hx-swap-oob" not in page
    assert "csrfmiddlewaretoken" not in parts


def test_markup_in_names_is_text(alice, vps):
    evil = "<script>alert(1)</script>"
    stream = build.stream(alice, title=evil)
    on_air(stream, vps, log_tail=[evil])
    stream.items.first().file.__class__.objects.update(title=evil)
    stream.outputs.first().destination.__class__.objects.update(name=evil)
    assert evil not in browser(alice).get(url(stream)).content.decode()


@override_settings(DEMO_PLATFORM_URL="")
def test_no_demo_no_watch(stream, alice, vps):
    on_air(stream, vps)
    assert "Watch" not in browser(alice).get(url(stream)).content.decode()


def test_a_report_of_an_unknown_item_does_no_harm(stream, alice, vps):
    run = on_air(stream, vps)
    report = build.report(run, item_id=10**9, next_item_ids=(1, 2), run_id=str(uuid.uuid4()))
    Run.objects.filter(pk=run.pk).update(report=asdict(report))
    assert browser(alice).get(url(stream)).status_code == 200


@override_settings(DEMO_PLATFORM_URL="http://127.0.0.1:9999")
def test_on_air_it_leads_to_the_demo_platform_in_a_new_tab(stream, alice, vps):
    watch = 'href="http://127.0.0.1:9999" target="_blank" rel="noopener"'
    client = browser(alice)
    assert watch not in client.get(url(stream)).content.decode()
    on_air(stream, vps)
    assert watch in client.get(url(stream)).content.decode()
    assert watch in client.get(url(stream, "fragments")).content.decode()


def test_while_stopping_destinations_show_nothing_of_before(stream, alice, vps):
    on_air(stream, vps)
    actions.stop(Stream.objects.get(pk=stream.pk), alice)
    page = browser(alice).get(url(stream)).content.decode()
    for words in ["Wrong key.", "2.9 Mbit/s", "since "]:
        assert words not in page.partition('id="stream-destinations"')[2].partition("</section>")[0]


def test_a_stop_is_said_once(stream, alice, vps):
    run = on_air(stream, vps)
    actions.stop(Stream.objects.get(pk=stream.pk), alice)
    lifecycle.fire(stream.pk, Event.STOPPED, run_id=run.pk, message="stopped")
    page = browser(alice).get(url(stream)).content.decode()
    assert page.count(">stopped<") == 1
