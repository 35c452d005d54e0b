"""The steps of provisioning as cases: what is seen on a server, what is made of it."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from fleet.provision import apt, detached, facts, firewall, host, installing, login, remedies
from fleet.provision.apt import Upgrade
from fleet.provision.files import digest
from fleet.provision.installing import Agent
from fleet.provision.ssh import Result
from fleet.provision.step import Command, Unfit, Upload, Verb
from fleet.provision.steps import Plan, steps

AGENT = Agent(
    bundle=Upload("/opt/ezstream/agent-0123456789ab.pyz", b"zip"),
    unit=Upload("/etc/systemd/system/ezstream-agent.service", b"unit"),
    environment=Upload("/etc/ezstream/agent.env", b"SECRET=canary-environment", 0o600, "ezstream:ezstream"),
    nginx_conf=b"events {}",
)


def printed(out: str, status: int = 0) -> Result:
    return Result(status, out)


# ------------------------------------------------------------------------------------------------ what it is

FIT = {
    "os": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)", "arch": "amd64", "python": "",
    "free_kib": "6000000", "init": "systemd", "uid": "0", "cores": "2", "memory_kib": "2000000",
}  # fmt: skip


def seen(**fields: str) -> Result:
    return printed("".join(f"{name}={value}\n" for name, value in (FIT | fields).items()))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"version": "13", "arch": "arm64"},
        {"os": "ubuntu", "version": "24.04", "python": "3.12.3"},
        {"os": "ubuntu", "version": "26.04", "arch": "arm64"},
    ],
)
def test_what_it_runs_on(fields):
    finding = host.system().look.judge(seen(**fields))
    assert finding.is_so
    assert "5.7 GiB free" in finding.note


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"os": "ubuntu", "version": "22.04", "name": "Ubuntu 22.04.5 LTS"}, "Ubuntu 22.04.5 LTS is too old"),
        ({"os": "debian", "version": "11", "name": "Debian 11"}, "too old"),
        ({"os": "debian", "version": ""}, "too old"),
        ({"os": "fedora", "name": "Fedora Linux 43"}, "This is Fedora Linux 43"),
        ({"os": "", "name": ""}, "This is an unknown system"),
        ({"arch": "i386"}, "This machine is i386"),
        ({"arch": "riscv64"}, "This machine is riscv64"),
        ({"init": "bash"}, "«bash» is process 1"),
        ({"free_kib": "900000"}, "Only 0.9 GiB"),
        ({"free_kib": "nonsense"}, "Only 0.0 GiB"),
    ],
)
def test_what_it_does_not_run_on_and_why(fields, words):
    with pytest.raises(Unfit, match=words.replace("(", r"\(")) as caught:
        host.system().look.judge(seen(**fields))
    assert caught.value.remedy


def test_a_server_that_prints_nothing_is_no_server_of_ours():
    with pytest.raises(Unfit):
        host.system().look.judge(printed(""))
    assert facts.read("motd\nos=debian").os == "debian"


# ------------------------------------------------------------------------------------------------ packages

SIMULATED = """\
NOTE: This is only a simulation!
Inst libssl3 [3.0.15-1~deb12u1] (3.0.17-1~deb12u2 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a-0+deb12u1] (2025b-0+deb12u1 Debian:12.9/stable, Debian:12-updates/stable-updates [all])
Inst openssh-server [1:9.6p1-3] (1:9.6p1-3ubuntu13.5 Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security [all])
Inst brand-new (1.0 Debian:12.9/stable [amd64])
Conf libssl3 (3.0.17-1~deb12u2 Debian-Security:12/stable-security [amd64])
"""


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (Upgrade.SECURITY, ("libssl3", "openssh-server")),
        (Upgrade.FULL, ("libssl3", "tzdata", "openssh-server", "brand-new")),
    ],
)
def test_what_is_upgraded(mode, names):
    assert apt.upgradable(SIMULATED, mode) == names
    step = apt.upgrade(mode)
    assert not step.look.judge(printed(SIMULATED)).is_so
    assert step.look.judge(printed("NOTE: This is only a simulation!\n")).is_so
    assert not step.look.judge(printed("E: broken", 100)).is_so


def test_the_stamp_of_the_lists_is_no_steps_own_directory():
    assert apt.STAMP not in {f"{detached.HOME}/{step.name}" for step in steps(Plan(agent=AGENT, public_line="x y"))}


def test_only_security_updates_are_named_to_apt():
    *_before, command = apt.upgrade(Upgrade.SECURITY).make(printed(SIMULATED))
    assert command.words == "apt-get install --only-upgrade libssl3 openssh-server"
    *_before, command = apt.upgrade(Upgrade.FULL).make(printed(SIMULATED))
    assert command.argv[-1] == "upgrade"


def test_only_what_is_missing_is_installed():
    there = printed("ffmpeg installed\nnginx config-files\npython3 installed\nca-certificates installed\n", 1)
    assert not apt.packages().look.judge(there).is_so
    *_before, command = apt.packages().make(there)
    assert command.argv[-3:] == ("libnginx-mod-rtmp", "nftables", "nginx")
    assert command.is_long
    everything = printed("".join(f"{name} installed\n" for name in apt.PACKAGES))
    assert apt.packages().look.judge(everything).is_so


@pytest.mark.parametrize(
    "step", [apt.packages(), apt.upgrade(Upgrade.SECURITY), apt.upgrade(Upgrade.FULL), host.clock()]
)
def test_what_a_reboot_cut_short_is_configured_before_apt_goes_on(step):
    assert step.make(printed(SIMULATED))[0].words == "dpkg --configure -a"


@pytest.mark.parametrize(
    ("out", "is_so"), [("", True), ("\n", True), ("The following packages are only half configured…\n nginx", False)]
)
def test_what_was_left_half_installed_is_mended_first(out, is_so):
    step = apt.mend()
    assert step.look.judge(printed(out)).is_so is is_so
    assert [action.words for action in step.make(printed(out))] == ["dpkg --configure -a", "apt-get -f install"]


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812", remedies.LOCKED),
        ("E: Could not get lock /var/lib/apt/lists/lock. It is held by process 44 (apt-get)", remedies.LOCKED),
        ("dpkg: error: dpkg frontend lock was locked by another process with pid 33", remedies.LOCKED),
        ("Err:1 http://deb.debian.org InRelease\n  Temporary failure resolving 'deb.debian.org'", remedies.NO_DNS),
        ("E: Failed to fetch http://x/y  Could not resolve 'x'", remedies.NO_DNS),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", remedies.DISK_FULL),
        ("tar: write error: No space left on device", remedies.DISK_FULL),
        ("Could not connect to deb.debian.org:80 (10.0.0.1). - connect (113: No route to host)", remedies.NO_MIRROR),
        ("E: Failed to fetch http://x/InRelease  Unable to connect to x:http:", remedies.NO_MIRROR),
        ("E: Some index files failed to download.", remedies.NO_MIRROR),
        ("E: Release file for http://x is not valid yet (invalid for another 2h).", remedies.BAD_CLOCK),
        ("E: The repository 'http://x bookworm Release' no longer has a Release file.", remedies.NO_RELEASE),
        ("E: Unable to locate package libnginx-mod-rtmp", remedies.NO_PACKAGE),
        ("E: Package 'ffmpeg' has no installation candidate", remedies.NO_PACKAGE),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a'", remedies.HALF_DONE),
        ("W: GPG error: http://x InRelease: NO_PUBKEY 0E98404D386FA1D9", remedies.NO_SECURE_MIRROR),
        ("something else", None),
    ],
)  # fmt: skip
def test_failures_of_apt_are_known_by_what_it_says(said, known):
    assert remedies.find(said, remedies.APT) is known


def test_a_full_disk_is_known_in_every_step():
    assert remedies.find("cat: write error: No space left on device", ()) is remedies.DISK_FULL


# ------------------------------------------------------------------------------------------------ the machine


@pytest.mark.parametrize(
    ("out", "is_so", "note"),
    [
        ("kept=1\n", True, ""),
        ("kept=0\n", False, ""),
        ("", False, ""),
        ("kept=0\ncontainer=yes\n", True, "A container"),
    ],
)
def test_the_clock_is_kept_by_somebody(out, is_so, note):
    finding = host.clock().look.judge(printed(out))
    assert (finding.is_so, note in finding.note) == (is_so, True)


@pytest.mark.parametrize(
    ("out", "is_so", "note"),
    [
        ("state=absent\n", True, ""),
        ("state=ours-to-stop\nrunning=active\nstarts=enabled\n", False, ""),
        ("state=ours-to-stop\nrunning=inactive\nstarts=enabled\n", False, ""),
        ("state=ours-to-stop\nrunning=inactive\nstarts=disabled\n", True, ""),
        ("state=foreign\nrunning=active\nstarts=enabled\n", True, "left alone"),
    ],
)
def test_an_nginx_that_serves_something_is_left_alone(out, is_so, note):
    finding = host.others_nginx().look.judge(printed(out))
    assert (finding.is_so, note in finding.note) == (is_so, True)


# ------------------------------------------------------------------------------------------------ firewall


def wall(*open_ports: int, **fields: str) -> Result:
    there = {
        "ssh": "22", "file": digest(firewall.rules(list(open_ports))), "unit": digest(firewall.UNIT.content),
        "loaded": "yes", "starts": "enabled",
    }  # fmt: skip
    return printed("".join(f"{name}={value}\n" for name, value in (there | fields).items()))


@pytest.mark.parametrize(
    ("looked", "is_so"),
    [
        (wall(22), True),
        (wall(22, ssh="22 2222"), False),
        (wall(22, 2222, ssh="2222"), True),
        (wall(22, loaded=""), False),
        (wall(22, starts="disabled"), False),
        (wall(22, unit="another"), False),
        (wall(22, 80, 443, web="80 443"), True),
        (wall(22, ufw="active", allowed="22"), True),
        (wall(22, ufw="active", allowed="22/tcp 80"), True),
        (wall(22, ufw="active", allowed="80 2022"), False),
        (printed(""), False),
    ],
)
def test_the_firewall_is_as_it_should_be(looked, is_so):
    assert firewall.step(22).look.judge(looked).is_so is is_so


def test_ssh_stays_open_and_a_new_connection_is_tried_before_it_is_kept():
    actions = firewall.step(2222).make(wall(ssh="22", web="443"))
    words = [action.words for action in actions]
    rules = next(action.content.decode() for action in actions if getattr(action, "path", "").endswith(".nft"))
    assert "tcp dport { 22, 443, 2222 } accept" in rules
    undo = next(at for at, each in enumerate(words) if "--on-active=60 nft delete table" in each)
    closed = words.index("nft -f /etc/ezstream/firewall.nft")
    tried = actions.index(Verb.NEW_CONNECTION)
    kept = next(at for at, each in enumerate(words) if each.startswith("systemctl enable"))
    assert undo < closed < tried < kept


def test_where_ufw_is_at_work_only_ssh_is_let_in():
    (command,) = firewall.step(2222).make(wall(ufw="active", allowed="80"))
    assert command.argv == ("ufw", "allow", "2222/tcp")


CLOUD: Final = {
    "cloud-init.service": "After=networking.service\nBefore=sysinit.target",
    "networking.service": "After=network-pre.target\nBefore=network.target",
}
"""In what order they stand on cloud images of Debian and Ubuntu."""


def test_a_cloud_image_boots_with_the_firewall(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd judges its units itself: apt-get install systemd")
    for name, order in CLOUD.items():
        text = f"[Unit]\nDefaultDependencies=no\n{order}\n[Service]\nExecStart=/bin/true\n"
        (tmp_path / name).write_text(text)
    name = Path(firewall.UNIT.path).name
    (tmp_path / name).write_bytes(firewall.UNIT.content)
    wants = tmp_path / "sysinit.target.wants"
    wants.mkdir()
    for each in (name, *CLOUD):
        (wants / each).symlink_to(tmp_path / each)
    said = subprocess.run(["systemd-analyze", "verify", tmp_path / name], capture_output=True, text=True).stderr
    assert "cycle" not in said


# ------------------------------------------------------------------------------------------------ key for password


@pytest.mark.parametrize(
    ("user", "has_password", "out", "is_so"),
    [
        ("root", False, "key=there\npasswords=off\n", True),
        ("root", True, "key=there\npasswords=off\n", False),
        ("root", False, "key=there\n", False),
        ("root", False, "passwords=off\n", False),
        ("deploy", True, "key=there\npasswords=off\n", True),
    ],
)
def test_the_key_is_in_the_passwords_place(user, has_password, out, is_so):
    assert login.step(user, "ssh-ed25519 AAAA", has_password=has_password).look.judge(printed(out)).is_so is is_so


def test_the_password_goes_last_and_only_after_the_key_has_worked_twice():
    root = login.step("root", "ssh-ed25519 AAAA", has_password=True).make(printed(""))
    verbs = [action for action in root if isinstance(action, Verb)]
    assert verbs == [Verb.NEW_CONNECTION_BY_KEY, Verb.NEW_CONNECTION_BY_KEY, Verb.FORGET_PASSWORD]
    assert root[-1] is Verb.FORGET_PASSWORD
    assert root.index(Verb.NEW_CONNECTION_BY_KEY) < next(n for n, each in enumerate(root) if isinstance(each, Upload))
    other = login.step("deploy", "ssh-ed25519 AAAA", has_password=True).make(printed(""))
    assert Verb.FORGET_PASSWORD not in other


# ------------------------------------------------------------------------------------------------ the agent


def test_the_agents_own_word_on_the_server_is_told():
    judge = installing.self_test(AGENT).look.judge
    well = '{"ok": true, "version": "0.1.0+ab", "checks": [{"name": "ffmpeg", "ok": true, "message": "6.1"}]}'
    assert judge(printed(well)).note == "0.1.0+ab"
    ill = '{"ok": false, "version": "1", "checks": [{"name": "r", "ok": false, "message": "Redis cannot be reached"}]}'
    with pytest.raises(Unfit, match="Redis cannot be reached"):
        judge(printed(ill, 1))
    with pytest.raises(Unfit, match="cannot test the server: no such file"):
        judge(printed("no such file", 2))


def test_a_service_is_as_wanted_when_it_runs_with_what_is_there():
    step = installing.service(AGENT)
    parts = (AGENT.unit, AGENT.stamp)
    files = "".join(f"{each.mode:o} {each.owner}\n{digest(each.content)}  -\n" for each in parts)
    good = f"ezstream-agent.service=active enabled\n{files}"
    assert step.look.judge(printed(good)).is_so
    assert not step.look.judge(printed(good.replace("active enabled", "failed enabled"))).is_so
    assert not step.look.judge(printed(good.replace("active enabled", "active disabled"))).is_so
    assert not step.look.judge(printed(good.replace(digest(AGENT.stamp.content), "0" * 64))).is_so


def test_another_configuration_is_another_stamp():
    other = Agent(AGENT.bundle, AGENT.unit, Upload(AGENT.environment.path, b"OTHER"), AGENT.nginx_conf)
    assert other.stamp.content != AGENT.stamp.content


# ------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({}, {"key"}),
        ({"upgrade": Upgrade.NONE}, {"key", "upgrade"}),
        ({"has_firewall": False}, {"key", "firewall"}),
        ({"public_line": "ssh-ed25519 AAAA"}, set()),
    ],
)
def test_the_order_of_the_steps(fields, without):
    order = [
        "system", "mend", "lists", "upgrade", "packages", "clock", "nginx-of-others", "user", "directories", "bundle",
        "configuration", "nginx", "self-test", "firewall", "key", "service", "heartbeat",
    ]  # fmt: skip
    found = [step.name for step in steps(Plan(agent=AGENT, **fields))]
    assert found == [name for name in order if name not in without]


@pytest.mark.parametrize("step", steps(Plan(agent=AGENT, public_line="ssh-ed25519 AAAA")), ids=lambda step: step.name)
def test_no_step_says_a_secret_and_all_have_limits(step):
    assert step.title
    assert 0 < step.limit_s <= 1800
    actions = step.make(printed(""))
    told = [action.words for action in actions] + [str(action) for action in actions] + [str(step)]
    told += [" ".join(action.argv) for action in actions if isinstance(action, Command)]
    assert not any("canary" in words for words in told)


@pytest.mark.parametrize(
    ("out", "state"),
    [
        ("running 5 5\nhello", detached.State(None, False, 5, True, "hello")),
        ("running 5 9\nhello", detached.State(None, False, 5, False, "hello")),
        ("0 5 5\nhello", detached.State(0, False, 5, True, "hello")),
        ("100 0 0\n", detached.State(100, False, 0, True, "")),
        ("gone 3 3\n", detached.State(None, True, 3, True, "")),
    ],
)
def test_what_is_asked_of_a_detached_command(out, state):
    assert detached.answer(printed(out)) == state
