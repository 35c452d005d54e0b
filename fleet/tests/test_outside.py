"""VPSes looked at from outside: what is read, what is made of it, and what the wire can do to us meanwhile."""

import re
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from fleet import actions, checkups, heartbeats, looking, outside, selection, standing, tasks
from fleet.candidates import candidates
from fleet.models import OutsideLook, Vps, VpsStatus
from fleet.provision import keys
from fleet.provision import outside as script
from fleet.provision.outside import Nonsense, Seen, clock_offset_s, read
from fleet.tests.ssh_server import PASSWORD, fake_sudo, serving
from lab.processes import ROOM
from streams.tests import build

WELL = {
    "clock": "1790000000", "load": "0.52 0.48 0.40", "cores": "2", "memory_kib": "2000000", "available_kib": "1500000",
    "disk_kib": "3000000 9000000", "agent": "active loaded success running", "nginx": "active loaded success running",
    "redis": "ok", "end": "yes",
}  # fmt: skip
SEEN = Seen(
    clock=1_790_000_000, load="0.52 0.48 0.40", cores=2, memory=25, disk=25, agent="active", nginx="active", redis="ok"
)


def printed(**fields: str) -> str:
    return "".join(f"{name}={value}\n" for name, value in (WELL | fields).items())


# ------------------------------------------------------------------------------------------------ what is read


def test_what_a_server_says_is_read():
    assert read(printed()) == SEEN


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"clock": "soon"}, "clock", None),
        ({"clock": "-5"}, "clock", None),
        ({"clock": "9" * 40}, "clock", None),
        ({"clock": "1e308"}, "clock", None),
        ({"clock": "١٢"}, "clock", None),
        ({"load": "0.5 0.4"}, "load", ""),
        ({"load": "nan inf 1"}, "load", "1.00"),
        ({"load": ""}, "load", ""),
        ({"cores": "0"}, "cores", None),
        ({"cores": "999999999999"}, "cores", 100_000),
        ({"memory_kib": "0"}, "memory", None),
        ({"memory_kib": ""}, "memory", None),
        ({"available_kib": "3000000"}, "memory", 0),
        ({"disk_kib": "0 0"}, "disk", None),
        ({"disk_kib": "9000000 0"}, "disk", 100),
        ({"disk_kib": "Filesystem blocks"}, "disk", None),
        ({"disk_kib": ""}, "disk", None),
        ({"agent": "failed loaded exit-code failed"}, "agent", "failed (exit-code)"),
        ({"agent": "activating loaded exit-code auto-restart"}, "agent", "activating (auto-restart, exit-code)"),
        ({"agent": "inactive loaded success dead"}, "agent", "inactive (dead)"),
        ({"agent": "inactive not-found success dead"}, "agent", "not-found"),
        ({"agent": ""}, "agent", ""),
        ({"nginx": "active"}, "nginx", ""),
        ({"redis": "Connection refused"}, "redis", "Connection refused"),
        ({"redis": "\x1b[31mred\x07" + "x" * 900}, "redis", "red" + "x" * 197),
        ({"reboot": "yes"}, "needs_reboot", True),
        ({"reboot": "no"}, "needs_reboot", False),
    ],
)
def test_what_is_made_of_odd_words(fields, name, value):
    assert getattr(read(printed(**fields)), name) == value


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("", ""),
        ("\n  \nThis account is not available.\n", "This account is not available."),
        (printed().replace("end=yes", ""), "clock=1790000000"),
        ("\x1b[1m" + "x" * 5000, "x" * 200),
    ],
)
def test_one_that_does_something_else_is_told(output, said):
    with pytest.raises(Nonsense) as caught:
        read(output)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("clock", "offset"), [(100, 0), (99, 0), (103, 0), (98, -1), (104, 1), (40, -59), (3704, 3601)]
)
def test_a_clock_is_held_to_be_as_right_as_it_can_be(clock, offset):
    """Looked at between 100 and 103."""
    assert clock_offset_s(clock, 100.0, 103.0) == offset


# ------------------------------------------------------------------------------------------------ what it means

NOW = timezone.now()


def row(**fields) -> OutsideLook:
    values = {"looked_at": NOW, "seen_at": NOW, "agent": "active", "nginx": "active", "redis": "ok", "disk": 25}
    return OutsideLook(**values | fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"agent": "failed (exit-code)"}, "its agent does not run: systemd says «failed (exit-code)»"),
        ({"agent": "not-found"}, "no agent is installed there"),
        ({"agent": ""}, ""),
        ({"redis": "timed out"}, "Redis is not reached from there: timed out"),
        ({"redis": ""}, ""),
        ({"disk": 99.2}, "disk 99 % full"),
        ({"disk": None}, ""),
        ({"clock_offset_s": 31.0}, "clock wrong by +31 s"),
        ({"clock_offset_s": -30.0}, ""),
        ({"needs_reboot": True, "nginx": "failed (exit-code)"}, ""),
        ({"redis": "timed out", "disk": 100}, "Redis is not reached from there: timed out; disk 100 % full"),
        ({"trouble": "No network leads to «x».", "agent": "inactive (dead)"}, "SSH: No network leads to «x»."),
        ({"looked_at": NOW - timedelta(minutes=12), "agent": "not-found"}, ""),
        ({"looked_at": NOW - timedelta(minutes=4), "agent": "not-found"}, ""),
    ],
)  # fmt: skip
def test_why_one_is_silent(fields, words):
    assert outside.why_silent(row(**fields), NOW - timedelta(minutes=3), NOW) == words


def test_of_one_that_was_never_heard_of_or_never_seen():
    assert outside.why_silent(row(agent="not-found"), None, NOW) == "no agent is installed there"
    assert outside.why_silent(None, None, NOW) == ""


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, []),
        ({"trouble": "It says nothing."}, ["SSH: It says nothing."]),
        ({"needs_reboot": True}, ["It waits to be rebooted."]),
        ({"nginx": "failed (exit-code)"}, ["Its nginx does not run: systemd says «failed (exit-code)»."]),
        ({"nginx": "not-found"}, []),
        ({"agent": "inactive (dead)", "redis": "timed out", "disk": 100, "clock_offset_s": 99}, []),
    ],
)
def test_what_needs_attention_though_it_beats(fields, words):
    assert outside.notes(row(**fields)) == words


# ------------------------------------------------------------------------------------------------ the wire


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(script, "ARGV", ("printf", "%s", printed(clock=str(int(time.time())))))
    with serving() as server:
        yield server


def looked(server, user: str = "root", **fields) -> looking.Look:
    """Whatever is wrong, within its time and without a secret."""
    began = time.monotonic()
    found = looking.look_once(server.target(user, **fields))
    assert time.monotonic() - began < looking.WHOLE_S * ROOM
    assert PASSWORD not in str(found)
    return found


def test_the_script_really_runs():
    """On this machine: what every Linux says of itself."""
    with serving() as server:
        found = looked(server)
    assert found.trouble == ""
    assert abs(found.clock_offset_s) < 5
    assert found.seen.cores
    assert 0 < found.seen.memory < 100
    assert len(found.seen.load.split()) == 3


def test_one_that_is_well(server):
    found = looked(server)
    assert (found.kind, found.seen.redis, found.clock_offset_s) == ("", "ok", 0)


def other_key() -> str:
    return keys.written(keys.read_private(keys.make_private()))


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"password": "wrong-canary"}, "bad_login"),
        ({"password": "", "private_key": keys.make_private()}, "bad_login"),
        ({"host_key": other_key()}, "changed_key"),
        ({"host_key": ""}, "unknown_key"),
        ({"private_key": "hunter2"}, "bad_login"),
    ],
)
def test_who_is_not_let_in(server, fields, kind):
    found = looked(server, **fields)
    assert (found.kind, found.seen) == (kind, None)
    assert "wrong-canary" not in found.trouble


@pytest.mark.parametrize(
    ("before", "kind"), [("silent", "silent"), ("smtp", "silent"), ("slow", "silent"), ("closes", "refused")]
)
def test_who_does_not_speak_ssh(before, kind):
    with serving(before=before) as server:
        assert looked(server).kind == kind


def test_who_is_not_there(server):
    target = server.target()
    server.close()
    assert looking.look_once(target).kind == "refused"


def test_one_that_hangs_in_the_middle(server):
    server.hangs = "printf"
    assert looked(server).kind == "too_slow"


def test_one_that_hangs_when_somebody_becomes_root(server):
    """Each of several commands may take as long as one; all of them together not."""
    server.hangs = "sudo"
    assert looked(server, "deploy").kind == "too_slow"


def test_one_that_breaks_off(server, monkeypatch):
    monkeypatch.setattr(script, "ARGV", ("sh", "-c", "echo half; sleep 5"))
    server.cut_after = "half"
    assert looked(server).kind == "lost"


def test_who_may_not_become_root(tmp_path):
    with serving(path=fake_sudo(tmp_path / "bin", "NEVER")) as server:
        assert looked(server, "deploy").kind == "no_sudo"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("true",), "«»"),
        (("printf", r"\377\376caf\303\251"), "��café"),
        (("sh", "-c", "yes no | head -n 2000000"), "«no»"),
        (("sh", "-c", "echo 'sh: not allowed' >&2; exit 1"), "«sh: not allowed»"),
        (("echo", f"your password is {PASSWORD}"), "your password is •••"),
    ],
)
def test_odd_output_is_told(server, monkeypatch, argv, words):
    monkeypatch.setattr(script, "ARGV", argv)
    found = looked(server)
    assert found.kind == "nonsense"
    assert words in found.trouble


def test_what_greets_everybody_is_passed_over(server, monkeypatch):
    greeting = "yes 'load=welcome' | head -n 9000; printf '\\377\\n'"
    monkeypatch.setattr(script, "ARGV", ("sh", "-c", f"{greeting}; printf %s '{printed()}'"))
    assert looked(server).seen.load == "0.52 0.48 0.40"


def test_output_without_end_is_given_up(server, monkeypatch):
    monkeypatch.setattr(script, "ARGV", ("yes",))
    monkeypatch.setattr(looking, "WHOLE_S", 2.0)
    assert looked(server).kind == "too_slow"


# ------------------------------------------------------------------------------------------------ judged


def add(server, name: str = "fra-1", **fields) -> Vps:
    fields = {"ssh_port": server.port, "host_key": server.target().host_key} | fields
    vps = build.vps(name, **fields)
    vps.set_password(PASSWORD)
    vps.save()
    return vps


@pytest.fixture
def vps(db, server):
    return add(server)


def again(vps: Vps) -> Vps:
    return Vps.objects.with_current_streams().get(pk=vps.pk)


def test_what_was_seen_is_kept(vps):
    looking.look_at([vps])
    kept = OutsideLook.objects.get()
    assert (kept.vps, kept.load, kept.cores, kept.memory, kept.disk) == (vps, "0.52 0.48 0.40", 2, 25, 25)
    assert (kept.agent, kept.nginx, kept.redis, kept.clock_offset_s) == ("active", "active", "ok", 0)
    assert (kept.trouble, kept.trouble_since, kept.looked_at) == ("", None, kept.seen_at)


def test_one_that_beats_is_well_whatever_ssh_says(vps, server):
    """Streams are fine; nothing of it is in the way of new ones."""
    looking.look_at([vps])
    server.close()
    looking.look_at([vps])
    first = OutsideLook.objects.get()
    looking.look_at([vps])
    kept = OutsideLook.objects.get()
    assert again(vps).unhealthy == ""
    assert "nothing listens" in kept.trouble
    assert kept.trouble_since == first.trouble_since < kept.looked_at
    assert (kept.load, kept.seen_at) == ("0.52 0.48 0.40", first.seen_at)
    assert selection.choose(candidates(timezone.now())).best is not None
    assert checkups.check([vps], timezone.now())[0].notes == (f"SSH: {kept.trouble}",)


def test_an_outside_word_is_nothing_against_one_that_beats(vps, monkeypatch):
    said = printed(agent="failed loaded exit-code failed", redis="timed out", disk_kib="9 0", clock="5", reboot="yes")
    monkeypatch.setattr(script, "ARGV", ("printf", "%s", said))
    looking.look_at([vps])
    assert again(vps).unhealthy == ""
    assert OutsideLook.objects.get().needs_reboot


def test_why_one_is_silent_is_its_reason_until_it_is_heard_again(vps, monkeypatch):
    Vps.objects.update(last_heartbeat_at=build.ago(100))
    said = printed(agent="failed loaded exit-code failed", clock=str(int(time.time())))
    monkeypatch.setattr(script, "ARGV", ("printf", "%s", said))
    looking.look_at([vps])
    why = r"no heartbeat for 1\d\d s: its agent does not run: systemd says «failed \(exit-code\)»"
    assert re.fullmatch(why, again(vps).unhealthy)
    found = standing.of(again(vps), timezone.now(), OutsideLook.objects.get())
    assert found.kind == "silent"
    assert re.fullmatch(why, found.reason)
    now = timezone.now()
    heartbeats.apply([build.heartbeat(vps, timestamp=now.timestamp())], now)
    checkups.check([vps], now)
    assert again(vps).unhealthy == ""
    assert standing.of(again(vps), now, OutsideLook.objects.get()).kind == "well"


def test_one_that_is_silent_and_not_reached_either(vps, server):
    Vps.objects.update(last_heartbeat_at=None)
    server.close()
    looking.look_at([vps])
    assert "never heard of: SSH: «127.0.0.1» is there, but nothing listens" in again(vps).unhealthy


def test_a_login_that_does_not_open_is_said(vps):
    Vps.objects.update(sealed_password="old9:AAAA")
    looking.look_at([again(vps)])
    assert OutsideLook.objects.get().trouble_kind == "sealed"


def test_one_that_was_removed_meanwhile_is_no_trouble(vps):
    gone = again(vps)
    vps.delete()
    looking.look_at([gone])
    assert not OutsideLook.objects.exists()


def test_no_look_trusts_a_host_key_at_first_sight(vps, server, settings):
    settings.SSH_TRUST_FIRST_USE = True
    Vps.objects.update(host_key="")
    looking.look_at([again(vps)])
    assert (OutsideLook.objects.get().trouble_kind, server.passwords, again(vps).host_key) == ("unknown_key", [], "")


def test_who_has_no_login_is_not_looked_at(db, server):
    local = add(server, is_local=True)
    bare = build.vps("bare")
    assert looking.due(timezone.now()) == []
    looking.look_at([local, bare])
    assert not OutsideLook.objects.exists()
    assert server.commands == []


# ------------------------------------------------------------------------------------------------ whose turn it is


@pytest.mark.parametrize(
    ("state", "look", "is_due"),
    [
        (VpsStatus.ACTIVE, None, True),
        (VpsStatus.DRAINING, None, True),
        (VpsStatus.INACTIVE, None, False),
        (VpsStatus.PROVISIONING, None, False),
        (VpsStatus.ERROR, None, False),
        (VpsStatus.ACTIVE, (30, ""), False),
        (VpsStatus.ACTIVE, (290, ""), True),
        (VpsStatus.ACTIVE, (290, "silent"), True),
        (VpsStatus.ACTIVE, (3000, "bad_login"), False),
        (VpsStatus.ACTIVE, (3700, "bad_login"), True),
    ],
)
def test_whose_turn_it_is(db, server, state, look, is_due):
    """`look`: how many seconds ago, and what kind of trouble there was."""
    vps = add(server, status=state)
    if look:
        OutsideLook.objects.create(vps=vps, looked_at=build.ago(look[0]), trouble_kind=look[1])
    assert looking.due(timezone.now()) == ([vps.pk] if is_due else [])


def test_the_scheduler_only_queues_lots_and_judges_by_what_is_known(
    db, server, monkeypatch, django_capture_on_commit_callbacks
):
    queued = []
    monkeypatch.setattr(looking, "LOT", 2)
    monkeypatch.setattr(tasks.look_outside.broker, "enqueue", queued.append)
    ids = [add(server, f"fra-{number}").pk for number in range(5)]
    server.hangs = "printf"
    with django_capture_on_commit_callbacks(execute=True):
        assert actions.check_all(timezone.now()) == "5 VPSes looked at"
    assert [message.args for message in queued] == [(ids[0], ids[1]), (ids[2], ids[3]), (ids[4],)]
    assert server.commands == []


def test_rounds_that_waited_for_a_worker_are_one(vps, server):
    for _ in range(3):
        tasks.look_outside.fn(vps.pk, 987654)
    assert len(server.commands) == 1


def test_one_that_hangs_holds_up_nobody_else(db, server, monkeypatch):
    """Four that hang and two places: the well one behind them is seen while the others are waited for."""
    monkeypatch.setattr(looking, "AT_ONCE", 3)
    monkeypatch.setattr(looking, "WHOLE_S", 2.0)
    with serving(hangs="printf") as hung:
        vpses = [add(hung, f"hung-{number}") for number in range(4)] + [add(server, "well")]
        began = time.monotonic()
        looking.look_at(vpses)
        took_s = time.monotonic() - began
    assert took_s < 2 * 2.0 * ROOM
    by_name = {each.vps.name: each for each in OutsideLook.objects.select_related("vps")}
    assert [by_name[f"hung-{number}"].trouble_kind for number in range(4)] == ["too_slow"] * 4
    assert by_name["well"].trouble == ""
    assert by_name["well"].looked_at < max(each.looked_at for each in by_name.values())


# ------------------------------------------------------------------------------------------------ by hand


@pytest.mark.django_db
def test_the_command_looks_too_and_notes_do_not_fail_it(vps, server, capsys):
    server.close()
    call_command("vps_health_check", "--all")
    assert "fra-1: well; SSH: «127.0.0.1» is there, but nothing listens on port" in capsys.readouterr().out
    Vps.objects.update(last_heartbeat_at=build.ago(100))
    with pytest.raises(CommandError, match="1 of 1 VPSes unhealthy"):
        call_command("vps_health_check", "fra-1")
    assert re.search(r"no heartbeat for 1\d\d s: SSH: «127\.0\.0\.1»", capsys.readouterr().out)


def test_check_health_looks_at_once(vps, operator, monkeypatch):
    monkeypatch.setattr(script, "ARGV", ("printf", "%s", printed(reboot="yes")))
    found = actions.check(vps, operator, timezone.now())
    assert (found.reason, found.notes) == ("", ("It waits to be rebooted.",))
