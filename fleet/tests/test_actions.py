"""The verbs of a VPS."""

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from fleet import actions, heartbeats, lifecycle
from fleet.errors import Refused, WrongState
from fleet.lifecycle import Event
from fleet.models import Vps, VpsStatus
from fleet.tests.ssh_server import PASSWORD, serving
from streams.models import Run
from streams.tests import build


def test_a_state_is_set_once_and_written_down(operator, db):
    vps = build.vps()
    assert actions.set_state(vps, Event.EVACUATE, operator) is VpsStatus.DRAINING
    assert actions.set_state(vps, Event.SWITCH_OFF, operator) is VpsStatus.INACTIVE
    with pytest.raises(WrongState):
        actions.set_state(vps, Event.SWITCH_OFF, operator)
    told = [(row.actor, row.verb, row.details) for row in AuditEntry.objects.order_by("pk")]
    assert told == [(operator, "set draining", {"moves": True}), (operator, "set inactive", {})]


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
    assert not heartbeats.apply([build.heartbeat(vps)], timezone.now()), "as one that never was"
    assert build.vps("vps-1"), "its name is free"


def test_one_that_a_stream_is_leaving_is_not_removed_yet(alice, operator):
    old, new = build.vps("old"), build.vps("new")
    run = build.running(build.stream(alice), new)
    Run.objects.filter(pk=run.pk).update(left_vps=old, moved_at=timezone.now(), commanded_at=None)
    with pytest.raises(Refused, match="carries 1 stream"):
        actions.remove(old, operator)


def test_one_that_is_being_provisioned_is_not_removed(operator, db):
    vps = build.vps()
    lifecycle.fire(vps.pk, Event.PROVISION)
    with pytest.raises(WrongState, match="provisioning"):
        actions.remove(vps, operator)
    assert Vps.objects.exists()
    assert not AuditEntry.objects.exists()


@pytest.fixture
def systemctl(tmp_path):
    """Of a server's: writes down what it is told, and fails while a file «broken» is there."""
    program = tmp_path / "systemctl"
    program.write_text(
        '#!/bin/sh\ncd "${0%/*}"; echo "$@" >>told; [ ! -e broken ] || { echo "no start" >&2; exit 1; }\n'
    )
    program.chmod(0o755)
    return tmp_path


@pytest.mark.django_db(transaction=True)
def test_an_agent_is_begun_anew_over_ssh(operator, systemctl):
    with serving(path=str(systemctl)) as server:
        vps = build.vps(ssh_port=server.port, host_key=server.target().host_key)
        vps.set_password(PASSWORD)
        vps.save()
        actions.restart_agent(vps, operator)
        assert (systemctl / "told").read_text() == "restart ezstream-agent.service\n"
        assert AuditEntry.objects.get().verb == "restart agent"
        (systemctl / "broken").touch()
        with pytest.raises(Refused, match="does not get ready: no start"):
            actions.restart_agent(vps, operator)
        server.close_door()
        with pytest.raises(Refused, match="nothing listens on port"):
            actions.restart_agent(vps, operator)
    assert AuditEntry.objects.count() == 1


def test_no_restart_trusts_a_host_key_at_first_sight(operator, db, settings):
    settings.SSH_TRUST_FIRST_USE = True
    with serving() as server:
        vps = build.vps(ssh_port=server.port)
        vps.set_password(PASSWORD)
        with pytest.raises(Refused, match="host key is not confirmed yet"):
            actions.restart_agent(vps, operator)
        assert server.passwords == []


def test_one_that_is_being_provisioned_is_let_alone(operator, db):
    with pytest.raises(WrongState):
        actions.restart_agent(build.vps(status=VpsStatus.PROVISIONING), operator)
