"""Which VPSes are fit for new streams, by what their agents say."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from agent.protocol import PROTOCOL_VERSION, Load
from fleet import checkups, heartbeats, selection, slots
from fleet.candidates import candidates
from fleet.health import Vitals, judge
from fleet.models import Vps, VpsStatus
from streams.tests import build

WELL = {"silent_s": 3.0, "busy": 40.0, "memory": 50.0, "disk": 60.0, "clock_offset_s": 0.2, "protocol": 1}


@pytest.mark.parametrize(
    ("fields", "was", "words"),
    [
        ({}, False, ""),
        ({"silent_s": None}, False, "never heard of"),
        ({"silent_s": 60.0}, False, ""),
        ({"silent_s": 61.0, "disk": 99.0}, False, "no heartbeat for 61 s"),
        ({"disk": 94.9}, False, ""),
        ({"disk": 95.0}, False, "disk 95 % full"),
        ({"disk": 94.9}, True, "disk 94 % full"),
        ({"disk": 89.9}, True, ""),
        ({"memory": 95.0}, False, "memory 95 % used"),
        ({"memory": 87.9}, True, ""),
        ({"busy": 96.0}, False, "overloaded: CPU 96 % over minutes"),
        ({"busy": 81.0}, True, "overloaded: CPU 81 % over minutes"),
        ({"busy": 81.0}, False, ""),
        ({"clock_offset_s": 30.0}, False, ""),
        ({"clock_offset_s": 3600.0}, False, "clock wrong by +3600 s"),
        ({"clock_offset_s": -31.0}, False, "clock wrong by -31 s"),
        ({"protocol": PROTOCOL_VERSION + 1}, False, ""),
        ({"protocol": PROTOCOL_VERSION - 1}, False, ""),
        ({"protocol": PROTOCOL_VERSION + 2}, False, "upgrade the agent"),
        ({"protocol": PROTOCOL_VERSION - 2}, False, "upgrade the agent"),
        ({"disk": 99.0, "memory": 99.0}, False, "disk 99 % full; memory 99 % used"),
        (dict.fromkeys(["busy", "memory", "disk", "clock_offset_s", "protocol"]), False, ""),
    ],
)
def test_what_is_held_against_a_vps(fields, was, words):
    found = judge(Vitals(**WELL | fields), was_unhealthy=was)
    assert words in found
    assert bool(found) == bool(words)


def test_a_full_disk_gets_no_new_streams_until_there_is_room(db):
    now = timezone.now()
    vps = build.vps(disk=97.0)
    assert checkups.check_all(now) == "1 VPS looked at; vps-1: disk 97 % full"
    choice = selection.choose(candidates(now))
    assert (choice.best, choice.why_none()) == (None, "vps-1 (unhealthy: disk 97 % full)")
    Vps.objects.filter(pk=vps.pk).update(disk=50.0)
    assert checkups.check_unhealthy(now) == "1 VPS looked at"
    assert selection.choose(candidates(now)).best is not None
    assert checkups.check_unhealthy(now) == "0 VPSes looked at"


@pytest.mark.parametrize("silent_s", [61, 600, None])
def test_a_vps_that_was_silent_is_well_with_its_first_heartbeat(db, silent_s):
    """The silence may have been ours, of all of them: a minute until the next check would be long."""
    now = timezone.now()
    vps = build.vps(last_heartbeat_at=now - timedelta(seconds=silent_s) if silent_s else None)
    checkups.check_all(now)
    heartbeats.apply([build.heartbeat(vps)], now)
    assert selection.choose(candidates(now)).best is not None


def test_a_heartbeat_that_comes_while_a_vps_is_looked_at_is_heard(db):
    now = timezone.now()
    looked_at = build.vps(last_heartbeat_at=now - timedelta(minutes=10))
    heartbeats.apply([build.heartbeat(looked_at, timestamp=now.timestamp())], now)
    checkups.check([looked_at], now)
    assert Vps.objects.get().unhealthy == ""


def test_a_heartbeat_alone_makes_nobody_well(db):
    now = timezone.now()
    vps = build.vps(unhealthy="disk 97 % full")
    heartbeats.apply([build.heartbeat(vps)], now)
    assert selection.choose(candidates(now)).best is None


@pytest.mark.django_db(transaction=True)
def test_an_unhealthy_vps_has_no_slot_either():
    from django.db import transaction

    vps = build.vps(unhealthy="disk 97 % full")
    with transaction.atomic():
        assert not slots.lock_with_room(vps.pk, timezone.now())


@pytest.mark.parametrize("status", [VpsStatus.INACTIVE, VpsStatus.PROVISIONING, VpsStatus.ERROR])
def test_of_a_vps_that_is_not_in_service_nothing_is_expected(db, status):
    vps = build.vps(status=status, last_heartbeat_at=None, unhealthy="never heard of")
    checkups.check_all(timezone.now())
    vps.refresh_from_db()
    assert (vps.unhealthy, vps.state) == ("", status)


def test_a_moment_of_full_load_is_no_overload_but_minutes_are(db):
    vps = build.vps(busy=10.0)
    now = timezone.now()

    def beats(number: int) -> str:
        load = Load(cpu=100.0, memory=10.0, disk=10.0)
        for n in range(number):
            moment = now + timedelta(seconds=5 * n)
            heartbeats.apply([build.heartbeat(vps, load=load, timestamp=moment.timestamp())], moment)
        checkups.check_all(moment)
        vps.refresh_from_db()
        return vps.unhealthy

    assert beats(12) == ""
    assert beats(60).startswith("overloaded: CPU 9")


def test_what_a_heartbeat_says_of_its_clock_and_protocol_is_kept(db):
    vps = build.vps()
    now = timezone.now()
    beat = build.heartbeat(vps, timestamp=now.timestamp() + 3600, protocol=7)
    heartbeats.apply([beat], now)
    checkups.check_all(now)
    vps.refresh_from_db()
    assert vps.clock_offset_s == pytest.approx(3600, abs=0.01)
    assert vps.unhealthy == (
        f"its agent speaks protocol 7, this control plane {PROTOCOL_VERSION}: upgrade the agent; clock wrong by +3600 s"
    )


def test_the_command_says_how_each_is_and_fails_when_one_is_ill(db, capsys):
    build.vps("good")
    call_command("vps_health_check", "--all")
    build.vps("bad", last_heartbeat_at=build.ago(600))
    with pytest.raises(CommandError, match="1 of 2 VPSes unhealthy"):
        call_command("vps_health_check", "--all")
    assert "bad: no heartbeat for 600 s" in capsys.readouterr().out
    call_command("vps_health_check", "good")


@pytest.mark.parametrize("words", [[], ["nobody"]])
def test_the_command_wants_to_know_which(db, words):
    with pytest.raises(CommandError):
        call_command("vps_health_check", *words)
