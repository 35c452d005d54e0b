"""Steps about packages. Pure.

apt waits for the lock by itself, asks nothing and leaves changed configuration files alone. It runs detached: a
connection that is cut does not stop it half way.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from fleet.provision import detached
from fleet.provision.remedies import APT
from fleet.provision.ssh import LOCALE, Result
from fleet.provision.step import Action, Command, Finding, Look, Step, always, known, succeeds

PACKAGES: Final = ("ca-certificates", "ffmpeg", "libnginx-mod-rtmp", "nftables", "nginx", "python3")
STAMP: Final = f"{detached.HOME}/lists.fetched"
"""Not a name a step could have: `detached` has a directory for each."""
FRESH_MIN: Final = 360
_ENV: Final = ("env", LOCALE, "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=a")
"""All of it here: what runs detached inherits nothing of the connection."""
_APT: Final = (
    *_ENV, "apt-get", "-q", "-y",
    "-o", "DPkg::Lock::Timeout=240", "-o", "Dpkg::Use-Pty=0",
    "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
    "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20",
)  # fmt: skip
_INST: Final = re.compile(r"^Inst (\S+) (?:\[[^\]]*\] )?\(\S+ ([^\[)]*)", re.MULTILINE)
_SECURITY: Final = re.compile(r"-security\b", re.IGNORECASE)
_STALE: Final = known(
    r"404 +not found",
    gettext_noop("A package is gone from the mirror: the server's package lists are too old."),
    gettext_noop("Press Provision: it begins with fresh lists when they are older than some hours."),
)


class Upgrade(StrEnum):
    """What is upgraded before anything is installed (PROVISION_UPGRADE)."""

    SECURITY = "security"
    FULL = "full"
    NONE = "none"


def apt_get(*words: str) -> Command:
    shown = " ".join(("apt-get", *(word for word in words if not word.startswith("-o") and "::" not in word)))
    return Command((*_APT, *words), is_long=True, shown=shown)


_CONFIGURE: Final = Command(
    (*_ENV, "dpkg", "--configure", "-a", "--force-confdef", "--force-confold"),
    is_long=True,
    shown="dpkg --configure -a",
)
"""Goes before whatever apt does: a step that a reboot cut short is begun again, and apt refuses what is half done."""


def install(*packages: str) -> tuple[Action, ...]:
    return _CONFIGURE, apt_get("install", "--no-install-recommends", *packages)


def mend() -> Step:
    script = "dpkg --audit; ls -A /var/lib/dpkg/updates | grep -v '^tmp' || true"
    return Step(
        name="mend",
        title=_("Finish what was left half installed"),
        look=Look(("sh", "-c", script), lambda seen: Finding(seen.is_ok and not seen.out.strip())),
        make=always(_CONFIGURE, apt_get("-f", "install")),
        limit_s=900,
        failures=APT,
    )


def lists() -> Step:
    fresh = ("sh", "-c", f'test -n "$(find {STAMP} -mmin -{FRESH_MIN} 2>/dev/null)"')
    update = apt_get("-o", "APT::Update::Error-Mode=any", "update")
    return Step(
        name="lists",
        title=_("Fetch the package lists"),
        look=Look(fresh, succeeds),
        make=always(update, Command(("mkdir", "-p", detached.HOME)), Command(("touch", STAMP))),
        limit_s=300,
        failures=APT,
    )


def upgradable(simulated: str, mode: Upgrade) -> tuple[str, ...]:
    """The packages `apt-get -s upgrade` would bring up to date; for SECURITY those of a security archive."""
    found = _INST.findall(simulated)
    return tuple(name for name, origin in found if mode is Upgrade.FULL or _SECURITY.search(origin))


def upgrade(mode: Upgrade) -> Step:
    def judge(seen: Result) -> Finding:
        return Finding(seen.is_ok and not upgradable(seen.out, mode))

    def make(seen: Result) -> tuple[Action, ...]:
        if mode is Upgrade.FULL:
            return _CONFIGURE, apt_get("--with-new-pkgs", "upgrade")
        return _CONFIGURE, apt_get("install", "--only-upgrade", *upgradable(seen.out, mode))

    simulate = (*_ENV, "apt-get", "-s", "-o", "Debug::NoLocking=1", "--with-new-pkgs", "upgrade")
    titles = {Upgrade.FULL: _("Upgrade the system"), Upgrade.SECURITY: _("Install security updates")}
    return Step(
        name="upgrade",
        title=titles.get(mode, ""),
        look=Look(simulate, judge, limit_s=60),
        make=make,
        limit_s=1200,
        failures=(*APT, _STALE),
    )


def missing(seen: Result) -> tuple[str, ...]:
    there = {line.split()[0] for line in seen.out.splitlines() if line.endswith(" installed")}
    return tuple(name for name in PACKAGES if name not in there)


def packages() -> Step:
    query = ("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES)
    return Step(
        name="packages",
        title=_("Install Python, FFmpeg and nginx"),
        look=Look(query, lambda seen: Finding(not missing(seen))),
        make=lambda seen: install(*missing(seen)),
        limit_s=900,
        failures=(*APT, _STALE),
    )
