"""Failures of apt and the system around it that are known by what they print. Pure."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop

from fleet.provision.step import Known, known

DISK_FULL: Final = known(
    r"no space left on device|not enough free space|disk quota exceeded|You don't have enough free space",
    gettext_noop("The disk of the server is full."),
    gettext_noop("Free some room there (df -h, apt-get clean) or order a bigger disk, then resume."),
)
LOCKED: Final = known(
    r"could not get lock|unable to acquire the dpkg|unable to lock|frontend lock was locked|"
    r"is another process using it|lock-frontend",
    gettext_noop("Another program (often unattended-upgrades) holds the lock of the packages."),
    gettext_noop("It usually lets go after some minutes: resume then. `ps aux | grep -e apt -e dpkg` shows who it is."),
    tries=20,
    pause_s=15.0,
)
NO_DNS: Final = known(
    r"temporary failure resolving|could not resolve|name or service not known|no such host",
    gettext_noop("The server cannot look up names (DNS)."),
    gettext_noop("Look at /etc/resolv.conf there and at its provider's firewall, then resume."),
    tries=1,
    pause_s=5.0,
)
NO_MIRROR: Final = known(
    r"could not connect to|unable to connect|connection (?:failed|timed out|refused)|network is unreachable|"
    r"failed to fetch|some index files failed",
    gettext_noop("The package mirror of the server cannot be reached."),
    gettext_noop("Look at /etc/apt/sources.list and sources.list.d there and at its network, then resume."),
    tries=2,
    pause_s=5.0,
)
NO_RELEASE: Final = known(
    r"does not have a release file|no longer has a release file",
    gettext_noop("The package mirror of the server does not have its release."),
    gettext_noop(
        "The release may be out of support, or the address wrong: look at /etc/apt/sources.list, then resume."
    ),
)
BAD_CLOCK: Final = known(
    r"is not valid yet|release file .* is expired",
    gettext_noop("The clock of the server is wrong, or its mirror is out of date."),
    gettext_noop("Set the clock there (timedatectl), or choose another mirror, then resume."),
)
NO_PACKAGE: Final = known(
    r"unable to locate package|has no installation candidate",
    gettext_noop("The server's package lists do not have what is needed."),
    gettext_noop("Let its apt sources have Debian's «main», or Ubuntu's «main» and «universe», then resume."),
)
HALF_DONE: Final = known(
    r"dpkg was interrupted|unmet dependencies",
    gettext_noop("Packages of the server were left half installed."),
    gettext_noop("Press Provision: it begins with mending them. If that fails, run `apt-get -f install` there."),
)
NO_SECURE_MIRROR: Final = known(
    r"certificate verification failed|NO_PUBKEY|the following signatures",
    gettext_noop("The server does not trust its package mirror."),
    gettext_noop("Its keys or certificates are out of date: mend its apt sources, then resume."),
)
PORT_TAKEN: Final = known(
    r"address already in use",
    gettext_noop("Another program on the server has port 1935."),
    gettext_noop("End it (`ss -ltnp` shows which it is), then resume."),
)

APT: Final[tuple[Known, ...]] = (
    DISK_FULL, LOCKED, NO_DNS, BAD_CLOCK, NO_SECURE_MIRROR, NO_RELEASE, NO_PACKAGE, HALF_DONE, NO_MIRROR,
)  # fmt: skip
"""The first that fits is told: the causes before what follows from them."""
ANYWHERE: Final[tuple[Known, ...]] = (DISK_FULL,)


def find(output: str, failures: tuple[Known, ...]) -> Known | None:
    return next((each for each in (*failures, *ANYWHERE) if each.pattern.search(output)), None)
