"""What an operator sees first."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fleet.models import OutsideLook, Vps, VpsStatus
from ops import home
from ops.models import Job, Process
from streams import lifecycle
from streams.lifecycle import Event
from streams.tests import build

HOME = reverse("admin:index")


@pytest.fixture
def client(operator):
    browser = Client()
    browser.force_login(operator)
    return browser


def test_an_empty_house(client):
    page = client.get(HOME).content.decode()
    for words in ["Nothing is on air.", "Nothing failed.", "No VPS yet.", "never seen"]:
        assert words in page


def test_what_is_on_air_what_failed_and_how_the_fleet_is(client, alice):
    vps = build.vps("fra-1")
    build.running(build.stream(alice, title="Night train"), vps)
    broken = build.stream(alice, title="Bells")
    run = build.starting_run(broken, vps)
    lifecycle.fire(broken.pk, Event.FAILED, run_id=run.pk, message="The disk is full.")
    build.vps("far", last_heartbeat_at=build.ago(600))
    Process.objects.create(kind="worker", instance="w", seen_at=timezone.now())
    Process.objects.create(kind="listener", instance="l", seen_at=build.ago(3600))
    Job.objects.create(name="clean up", next_run_at=timezone.now(), last_succeeded=False, last_result="Boom")
    answer = client.get(HOME)
    page = answer.content.decode()
    for words in ["Night train", "Bells", "The disk is full.", "fra-1", "1 / 4", "10 minutes ago", "clean up", "Boom"]:
        assert words in page
    assert (answer.context["on_air_total"], answer.context["failing_total"]) == (1, 1)
    assert [each["is_alive"] for each in answer.context["processes"]] == [True, False, False, False, False]


def seen(name: str, vps_fields: dict | None = None, **fields) -> Vps:
    """From outside, a minute ago."""
    vps = build.vps(name, sealed_password="x", **vps_fields or {})
    at = build.ago(60)
    values = {"looked_at": at, "seen_at": at, "agent": "active", "nginx": "active", "redis": "ok"}
    OutsideLook.objects.create(vps=vps, **values | fields)
    return vps


def test_what_was_seen_from_outside_is_named(client):
    seen("well")
    seen("locked", trouble="It does not take the password of «root».", trouble_since=build.ago(60))
    seen("patched", needs_reboot=True)
    seen("pushes", nginx="failed (exit-code)")
    seen("away", {"last_heartbeat_at": build.ago(600)}, trouble="No network leads there.")
    seen("off", {"status": VpsStatus.INACTIVE}, trouble="No network leads to it.")
    build.vps("bare")
    Process.objects.create(kind="listener", instance="l", seen_at=timezone.now())
    found = {each.what: each.tone for each in client.get(HOME).context["concerns"]}
    for what, tone in {
        "locked: SSH: It does not take the password of «root».": "warning",
        "pushes: Its nginx does not run: systemd says «failed (exit-code)».": "warning",
        "1 VPS waits for a reboot: patched": "info",
        "away: silent, last heartbeat 10 minutes ago: SSH: No network leads there.": "danger",
    }.items():
        assert found.pop(what) == tone
    assert not [what for what in found if what.startswith(("well", "off", "away", "bare"))]


def test_its_queries_do_not_grow(client, alice):
    def taken(number: int) -> int:
        vps = build.vps(f"vps-{number}", max_streams=9)
        for n in range(number):
            seen(f"odd-{number}.{n}", trouble="It says nothing.", needs_reboot=True)
        for n in range(number):
            build.running(build.stream(alice, title=f"{number}.{n}"), vps)
        with CaptureQueriesContext(connection) as queries:
            client.get(HOME)
        return len(queries)

    assert taken(5) == taken(1)


def test_of_a_large_fleet_it_shows_what_is_wrong_and_how_many_there_are(client):
    for number in range(home.SHOWN + 5):
        build.vps(f"a-{number:03}")
    build.vps("y-silent", last_heartbeat_at=build.ago(600))
    build.vps("z-ill", unhealthy="disk 99 % full")
    answer = client.get(HOME)
    shown = [each.vps.name for each in answer.context["fleet"]]
    assert (len(shown), shown[:2]) == (home.SHOWN, ["y-silent", "z-ill"])
    assert f"All {home.SHOWN + 7} VPSes" in answer.content.decode()
