"""One host: its life, its link, and a look inside that needs nothing of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.hosts import cgroups
from lab.hosts.needs import run, try_run
from lab.hosts.network import Network, resolv_conf
from lab.processes import wait_until

_BOOT: Final = Path(__file__).with_name("boot.sh")
_BOOT_LIMIT_S: Final = 30.0
_COMMAND_LIMIT_S: Final = 600.0
_LOOK_LIMIT_S: Final = 5.0
_SSH: Final = 22
_LONGEST_NAME: Final = 15 - len("vb-")
"""Characters a link's name may have, without nspawn's prefix; it invents another when that is too long."""


class HostOffError(RuntimeError):
    """The host does not run: nobody can look inside."""


class Host:
    """A server as a provider hands it over: an address, user `root` and a password. Made by `Lab.host`."""

    user: Final = "root"

    def __init__(self, name: str, number: int, network: Network, home: Path, disk: str = "6G") -> None:
        self.name = name
        self.machine = f"{network.machines}{name}"
        if len(self.machine) > _LONGEST_NAME:
            raise ValueError(f"{name!r} is too long a name for a host: its link would be named otherwise")
        self.address = network.address(number)
        self.address6 = network.address6(number)
        self.password = secrets.token_urlsafe(12)
        self.network = network
        self.home = home
        self._disk = disk
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def link(self) -> str:
        """The machine's end of the host's cable."""
        return f"vb-{self.machine}"

    @property
    def console(self) -> str:
        """What it printed while booting."""
        return (self.home / "console.log").read_text(errors="replace")

    # ------------------------------------------------------------------------------------------- its life
    def start(self, image: Path) -> None:
        """Begins to boot; call from the main thread: the host ends with the thread that started it. See `wait_up`."""
        self._carry_in()
        procs = ",".join(str(path) for path in cgroups.make(self.machine))
        tied = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        with (self.home / "console.log").open("wb") as console:
            self._process = subprocess.Popen(
                [*tied, "sh", str(_BOOT), str(image), self._disk, procs, *self._nspawn()],
                cwd=self.home, stdin=subprocess.PIPE, stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def _nspawn(self) -> list[str]:
        return [
            *("--quiet", "--directory=root", "--boot", f"--network-bridge={self.network.bridge}", "--register=no"),
            *("--keep-unit", f"--machine={self.machine}", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            "--console=pipe",
        ]

    def _carry_in(self) -> None:
        self.home.mkdir(parents=True)
        password = self.home / "password"
        password.touch(0o600)
        password.write_text(f"root:{self.password}\n")
        for path, text in self._files().items():
            place = self.home / "carry" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)

    def _files(self) -> dict[str, str]:
        gateway, gateway6 = self.network.address(), self.network.address6()
        return {
            "etc/hostname": f"{self.name}\n",
            "etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {self.name}\n",
            "etc/resolv.conf": resolv_conf(),
            "etc/systemd/network/10-host0.network": (
                f"[Match]\nName=host0\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
                f"Address={self.address}/24\nAddress={self.address6}/64\nGateway={gateway}\nGateway={gateway6}\n"
            ),
        }

    def wait_up(self, limit_s: float = _BOOT_LIMIT_S) -> None:
        """Until sshd greets. NotInTimeError when it does not."""
        wait_until(self.greets, f"host {self.name} answers SSH", limit_s, every_s=0.1)

    def greets(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise HostOffError(f"host {self.name} ended:\n{self.console[-3000:]}")
        with contextlib.suppress(OSError), socket.create_connection((self.address, _SSH), timeout=1.0) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def reboot(self) -> None:
        """As `reboot` typed on it, and until it greets again."""
        before = self.boot_id()
        self.run(["systemctl", "--no-block", "reboot"])
        self.wait_rebooted(before)

    def wait_rebooted(self, before: str) -> None:
        """Until the host runs another boot than `before` and greets: for reboots ordered from elsewhere."""

        def is_another() -> bool:
            with contextlib.suppress(HostOffError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
                return self.boot_id() != before
            return False

        wait_until(is_another, f"host {self.name} boots again", _BOOT_LIMIT_S, every_s=0.1)
        self.wait_up()

    def power_off(self) -> None:
        """The plug is pulled: nothing on it gets a word."""
        os.kill(self.leader(), signal.SIGKILL)
        wait_until(lambda: not self.is_on(), f"host {self.name} is off")

    def power_on(self) -> None:
        """After `power_off`, or after it was shut down from inside."""
        if self._process is None or self._process.stdin is None:
            raise HostOffError(f"host {self.name} was removed")
        self._process.stdin.write(b"on\n")
        self._process.stdin.flush()
        self.wait_up()

    def is_on(self) -> bool:
        try:
            return self.leader() > 0
        except HostOffError:
            return False

    def remove(self) -> None:
        """Nothing of it stays: processes, mounts, link, control groups, disk."""
        if self._process is not None:
            with contextlib.suppress(FileNotFoundError):
                cgroups.freeze(self.machine, False)
            self._process.kill()
            self._process.communicate()
            self._process = None
        try_run("ip", "link", "delete", self.link)
        wait_until(lambda: cgroups.remove(self.machine), f"all processes of host {self.name} ended")
        shutil.rmtree(self.home)

    # ------------------------------------------------------------------------------------------- what may befall it
    def freeze(self) -> None:
        """It hangs: connections are taken by its kernel, and nobody answers."""
        cgroups.freeze(self.machine, True)
        wait_until(lambda: cgroups.is_frozen(self.machine), f"host {self.name} stands still")

    def thaw(self) -> None:
        cgroups.freeze(self.machine, False)

    def cut(self) -> None:
        """The cable is pulled."""
        run("ip", "link", "set", self.link, "down")

    def mend(self) -> None:
        run("ip", "link", "set", self.link, "up")

    def fill_disk(self) -> None:
        """Not a byte more goes on it, until `/full.*` is deleted."""
        pieces = "for size in 1G 64M 1M 4K; do while fallocate -l $size /full.$size.$((n = n + 1)); do :; done; done"
        self.run(["sh", "-c", f"{{ {pieces}; }} 2>/dev/null || true"])

    def change_host_key(self) -> None:
        """As after a new installation at the same address."""
        self.run(["sh", "-c", "rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && systemctl restart ssh"])

    # ------------------------------------------------------------------------------------------- a look inside
    def run(self, argv: Sequence[str], given: bytes = b"", limit_s: float = _COMMAND_LIMIT_S) -> str:
        """Runs a command as root on it, past its network and sshd; gives its output. May raise CalledProcessError, and
        TimeoutExpired: one that a host's shutdown stops (it stops all, then ends all) would wait for ever."""
        clean = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        inside = ["nsenter", f"--target={self.leader()}", "--all", "--wd=/", *argv]
        done = subprocess.run(inside, input=given, capture_output=True, env=clean, timeout=limit_s)
        if done.returncode:
            raise subprocess.CalledProcessError(
                done.returncode, list(argv), done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
            )
        return done.stdout.decode(errors="replace")

    def boot_id(self) -> str:
        """Another one after each boot."""
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"], limit_s=_LOOK_LIMIT_S).strip()

    def leader(self) -> int:
        """The machine's id of the host's init. HostOffError when it has none."""
        if self._process is not None:
            for pid in _descendants(self._process.pid):
                if _is_init(pid, depth=3):
                    return pid
        raise HostOffError(f"host {self.name} is off")


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            found += [int(child) for child in Path(f"/proc/{each}/task/{each}/children").read_text().split()]
    return found[1:]


def _is_init(pid: int, depth: int) -> bool:
    """Whether it is the first process of a process namespace `depth` deep, counted from this process's own."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                ids = line.split()[1:]
                return len(ids) == depth and ids[-1] == "1"
    return False
