"""Operators' pages for the fleet."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from fleet.models import Vps, VpsStatus
from streams.tests import build

LIST = reverse("admin:fleet_vps_changelist")


@pytest.fixture
def client(operator):
    browser = Client()
    browser.force_login(operator)
    return browser


def test_the_list_tells_what_it_carries_and_whether_it_answers(client, alice):
    busy, silent = build.vps("busy"), build.vps("silent", last_heartbeat_at=build.ago(3600))
    build.running(build.stream(alice), busy)
    page = client.get(LIST).content.decode()
    assert "1 / 4" in page
    assert "reachable" in page
    assert ">silent</span>" in page
    assert str(silent) in page


@pytest.mark.parametrize(
    ("action", "after"),
    [("drain", VpsStatus.DRAINING), ("deactivate", VpsStatus.INACTIVE), ("activate", VpsStatus.ACTIVE)],
)
def test_what_an_operator_does_is_done_and_written_down(client, action, after):
    vps = build.vps(status=VpsStatus.ERROR)
    client.post(LIST, {"action": action, "_selected_action": [vps.pk]})
    vps.refresh_from_db()
    assert vps.state is after
    assert AuditEntry.objects.filter(target_type="fleet.vps", target_id=str(vps.pk)).exists()


def test_a_change_leaves_what_heartbeats_write(client):
    vps = build.vps(cpu=10)
    form = {
        "name": "renamed", "host": "192.0.2.7", "region": "", "status": "ACTIVE", "max_streams": 9, "uplink_mbit": "",
        "supports_multistream": "on", "ssh_user": "root", "ssh_port": 22, "host_key": "",
    }  # fmt: skip
    answer = client.post(reverse("admin:fleet_vps_change", args=[vps.pk]), form)
    assert answer.status_code == 302
    vps.refresh_from_db()
    assert (vps.name, vps.max_streams, vps.cpu) == ("renamed", 9, 10)


def test_a_vps_with_history_stays(client, alice):
    used, unused = build.vps("used"), build.vps("unused")
    build.running(build.stream(alice), used)
    for vps in (used, unused):
        client.post(reverse("admin:fleet_vps_delete", args=[vps.pk]), {"post": "yes"})
    assert list(Vps.objects.all()) == [used]


def test_no_secret_of_it_is_shown(client):
    vps = build.vps()
    vps.set_password("canary-pass")
    vps.set_private_key("canary-private")
    vps.save()
    page = client.get(reverse("admin:fleet_vps_change", args=[vps.pk])).content.decode()
    assert "canary" not in page
    assert vps.sealed_password not in page
