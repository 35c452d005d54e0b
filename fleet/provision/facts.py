"""What a server is: asked in one command, judged here. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from fleet.provision.step import Unfit, fields

SCRIPT: Final = """\
. /etc/os-release 2>/dev/null
echo "os=$ID"; echo "version=$VERSION_ID"; echo "name=$PRETTY_NAME"
echo "arch=$(dpkg --print-architecture 2>/dev/null || uname -m)"
echo "python=$(python3 -c 'import platform; print(platform.python_version())' 2>/dev/null)"
echo "free_kib=$(df -Pk /var | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)"
echo "init=$(cat /proc/1/comm)"; echo "uid=$(id -u)"; echo "cores=$(nproc)"
echo "memory_kib=$(grep MemTotal /proc/meminfo | tr -dc 0-9)"
"""
ARGV: Final = ("sh", "-c", SCRIPT)
OLDEST: Final[dict[str, tuple[int, int]]] = {"debian": (12, 0), "ubuntu": (24, 4)}
"""The first with Python 3.11, which the agent needs."""
ARCHITECTURES: Final = ("amd64", "arm64")
LEAST_FREE_KIB: Final = 1_500_000
"""FFmpeg and what it needs take half a gigabyte, its packages on the way a quarter; the rest is for the first video."""


@dataclass(frozen=True, slots=True)
class Facts:
    os: str
    version: str
    name: str
    arch: str
    python: str
    free_kib: int
    init: str
    cores: int
    memory_kib: int

    @property
    def free_bytes(self) -> int:
        return self.free_kib * 1024

    @property
    def memory_bytes(self) -> int:
        return self.memory_kib * 1024

    @property
    def words(self) -> str:
        room = _("%(n).1f GiB free") % {"n": self.free_kib / 1024**2}
        python = f"Python {self.python}" if self.python else _("no Python yet")
        return ", ".join((self.name or _("an unknown system"), self.arch, python, room))


def read(output: str) -> Facts:
    found = fields(output)
    return Facts(
        os=found.get("os", "").lower(),
        version=found.get("version", ""),
        name=found.get("name", ""),
        arch=found.get("arch", ""),
        python=found.get("python", ""),
        free_kib=_number(found.get("free_kib")),
        init=found.get("init", ""),
        cores=_number(found.get("cores")),
        memory_kib=_number(found.get("memory_kib")),
    )


def require_fit(facts: Facts) -> None:
    """Raises `Unfit`."""
    wanted = _("Install Debian 12 or 13, or Ubuntu 24.04 or later, on amd64 or arm64.")
    words = {"name": facts.name or _("an unknown system"), "version": facts.version}
    if facts.os not in OLDEST:
        raise Unfit(_("This is %(name)s; EZStream runs on Debian and Ubuntu.") % words, wanted)
    if _version(facts.version) < OLDEST[facts.os]:
        raise Unfit(_("%(name)s is too old: its Python is older than 3.11.") % words, wanted)
    if facts.arch not in ARCHITECTURES:
        raise Unfit(_("This machine is %(arch)s; EZStream runs on amd64 and arm64.") % {"arch": facts.arch}, wanted)
    if facts.init != "systemd":
        raise Unfit(_("systemd does not run here; «%(init)s» is process 1.") % {"init": facts.init}, wanted)
    if facts.free_kib < LEAST_FREE_KIB:
        room = {"free": facts.free_kib / 1024**2, "least": LEAST_FREE_KIB / 1024**2}
        raise Unfit(
            _("Only %(free).1f GiB of its disk are free; %(least).1f GiB are needed.") % room,
            _("Free some room there (df -h, apt-get clean) or order a bigger disk, then resume."),
        )


def _version(text: str) -> tuple[int, int]:
    major, _dot, minor = text.partition(".")
    return _number(major), _number(minor)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0
