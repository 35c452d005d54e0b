"""The lab's hosts are what they say they are: real servers, reached as a customer's is, and nothing of them stays."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts import Host, Lab, cgroups
from lab.hosts.host import HostOffError
from lab.hosts.lab import HOME, reap_dead
from lab.processes import wait_until
from lab.product import ROOT

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def host(vps_lab: Lab) -> Iterator[Host]:
    host = vps_lab.host("a")
    yield host
    vps_lab.remove(host)


def ssh(host: Host, command: str, folder: Path, password: str | None = None) -> subprocess.CompletedProcess[str]:
    """As an operator types it, with the system's client."""
    answer = folder / "askpass"
    answer.write_text(f"#!/bin/sh\necho '{password or host.password}'\n")
    answer.chmod(0o700)
    options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "NumberOfPasswordPrompts=1"]
    return subprocess.run(
        ["ssh", "-l", host.user, *(part for option in options for part in ("-o", option)), host.address, command],
        env=os.environ | {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def connects(host: Host, limit_s: float = 1.0) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host.address, 22), timeout=limit_s):
        return True
    return False


def test_it_is_a_bare_debian_under_systemd_reached_by_password(host, tmp_path):
    answer = ssh(host, "cat /etc/os-release /proc/1/comm; hostname; command -v python3 || echo no python", tmp_path)
    assert answer.returncode == 0, answer.stderr
    for word in ('VERSION_ID="12"', "\nsystemd\n", "\na\n", "no python"):
        assert word in answer.stdout
    assert ssh(host, "true", tmp_path, "wrong").returncode == 255


def test_its_services_are_all_well(host):
    wait_until(lambda: host.run(["systemctl", "list-jobs", "--no-legend"]) in ("", "No jobs running.\n"), "booted")
    assert host.run(["systemctl", "list-units", "--failed", "--no-legend"]) == ""


def test_it_installs_packages_from_the_mirror(host):
    host.run(["sh", "-c", "apt-get -qq update && apt-get -qq install -y --no-install-recommends nano-tiny"])
    assert "GNU nano" in host.run(["nano-tiny", "--version"])


def test_it_reaches_this_machine_and_its_neighbour_and_no_other_ports_outside(vps_lab, host, vps_pair):
    with socket.create_server((vps_lab.address, 0)) as server:
        port = server.getsockname()[1]
        host.run(["bash", "-c", f"exec 3<>/dev/tcp/{vps_lab.address}/{port}"])
    host.run(["bash", "-c", f"exec 3<>/dev/tcp/{vps_pair[0].address}/22"])
    with pytest.raises(subprocess.CalledProcessError, match="status 1"):
        host.run(["bash", "-c", "exec 3<>/dev/tcp/192.0.2.77/6667"])


def test_it_has_an_ipv6_address(host):
    with socket.create_connection((host.address6, 22), timeout=5) as connection:
        assert connection.recv(4) == b"SSH-"


def test_what_is_written_outlives_a_reboot_and_a_power_cut(host):
    host.run(["touch", "/root/kept"])
    before = host.boot_id()
    uuid.UUID(before)
    host.reboot()
    assert host.boot_id() != before
    host.power_off()
    assert not host.is_on()
    assert not connects(host)
    with pytest.raises(HostOffError):
        host.run(["true"])
    host.power_on()
    host.run(["test", "-e", "/root/kept"])


def test_a_cut_cable_is_silent_until_it_is_mended(host):
    host.cut()
    assert not connects(host)
    host.mend()
    wait_until(lambda: connects(host), "reached again")


def test_a_host_that_hangs_takes_connections_and_says_nothing(host):
    host.freeze()
    with socket.create_connection((host.address, 22), timeout=5) as connection:
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    host.thaw()
    host.wait_up()


def test_a_new_host_key_is_another(host, tmp_path):
    public = ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]
    before = host.run(public)
    host.change_host_key()
    assert host.run(public) != before
    host.wait_up()


def test_a_full_disk_is_full(fresh_vps):
    host = fresh_vps()
    host.fill_disk()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        host.run(["dd", "if=/dev/zero", "of=/more", "bs=1M", "count=1"])
    assert "No space left" in failed.value.stderr


def test_its_certificates_are_the_machines(host):
    extra = sorted(path.name for path in Path("/usr/local/share/ca-certificates").rglob("*.crt"))
    assert (
        sorted(host.run(["find", "/usr/local/share/ca-certificates", "-name", "*.crt", "-printf", "%f\n"]).split())
        == extra
    )


def traces(number: int) -> list[str]:
    network = Path("/sys/class/net")
    links = [path.name for path in (*network.glob(f"ezlab{number}"), *network.glob(f"vb-ez{number}-*"))]
    disks = [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"ezstream-lab/{number}/" in line
    ]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True).stdout
    left = [*links, *cgroups.named(f"ez{number}-"), *disks]
    left += [line for line in tables.splitlines() if line.endswith(f"ezlab{number}")]
    left += [line for line in routes.splitlines() if f"10.77.{number}." in line]
    return left + [str(path) for path in (HOME / str(number), HOME / f"{number}.lock") if path.exists()]


def test_nothing_is_left_behind(vps_lab):
    with Lab() as lab:
        number = lab.network.number
        assert number != vps_lab.network.number
        host = lab.host("a-long1")
        assert Path(f"/sys/class/net/{host.link}").exists()
        assert traces(number)
    assert traces(number) == []


UNTIL_KILLED = """
import time
from lab.hosts import Lab
with Lab() as lab:
    lab.host("k")
    print(lab.network.number, flush=True)
    time.sleep(99)
"""


def test_what_a_killed_lab_left_is_reaped(vps_lab):
    with subprocess.Popen([sys.executable, "-c", UNTIL_KILLED], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        number = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert traces(number)
    reap_dead()
    assert traces(number) == []
    assert traces(vps_lab.network.number), "a living lab is left alone"
