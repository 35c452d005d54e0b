"""The verbs of a VPS."""

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from fleet import actions, heartbeats
from fleet.errors import Refused
from fleet.models import Vps, VpsStatus
from streams.models import Run
from streams.tests import build


def test_a_state_is_set_once_and_written_down(operator, db):
    vps = build.vps()
    assert actions.set_status(vps, VpsStatus.DRAINING, operator)
    assert not actions.set_status(vps, VpsStatus.DRAINING, operator)
    assert [(row.actor, row.verb) for row in AuditEntry.objects.all()] == [(operator, "set draining")]


def test_a_check_says_and_writes_down_what_it_found(operator, db):
    vps = build.vps(disk=99)
    assert actions.check(vps, operator, timezone.now()).reason == "disk 99 % full"
    assert AuditEntry.objects.get().details == {"found": "disk 99 % full"}


def test_one_that_carries_something_is_not_removed(alice, operator):
    vps = build.vps()
    build.running(build.stream(alice), vps)
    with pytest.raises(Refused, match="carries 1 stream"):
        actions.remove(vps, operator)
    assert Vps.objects.exists()
    assert not AuditEntry.objects.filter(verb="delete").exists()


def test_one_that_never_carried_anything_is_gone(operator, db):
    vps = build.vps()
    actions.remove(vps, operator)
    assert not Vps._base_manager.exists()
    assert AuditEntry.objects.get(verb="delete").target_name == "vps-1"


def test_one_with_history_leaves_the_fleet_and_its_runs_still_name_it(alice, operator):
    vps = build.vps()
    vps.set_password("canary")
    vps.set_private_key("canary")
    vps.save()
    run = build.running(build.stream(alice), vps)
    Run.objects.filter(pk=run.pk).update(slot_released_at=timezone.now())
    actions.remove(vps, operator)
    assert not Vps.objects.exists()
    assert Run.objects.select_related("vps").get().vps.name == "vps-1"
    left = Vps._base_manager.get()
    assert (left.sealed_password, left.sealed_private_key, left.state) == ("", "", VpsStatus.INACTIVE)
    assert not heartbeats.apply_heartbeat(build.heartbeat(vps), timezone.now()), "as one that never was"
    assert build.vps("vps-1"), "its name is free"
