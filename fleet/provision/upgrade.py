"""Another agent on a server, and back again (AGT-7): what to look at and what to run, as data. Pure.

`/opt/ezstream` holds a file per bundle, named by its hash; `current` leads to the one that runs, `previous` to the one
before it. An upgrade puts the new file there, `swap`s, and restarts the service: playouts go on and are adopted. It has
worked when the first heartbeat of the new one is heard (`gate`); else `swap` to the previous one and restart. `prune`
comes last: files that playouts still on air began from stay, for Python reads from them until the end.

All argument lists are for root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent import protocol
from fleet.provision import unit

FOLDER: Final = "/opt/ezstream"
LINK: Final = f"{FOLDER}/current"
PREVIOUS: Final = f"{FOLDER}/previous"
CONFIG: Final = "/etc/ezstream/agent.env"
USER: Final = "ezstream"
GATE_S: Final = 30.0
"""An agent is heard two seconds after its start; one on a machine that is hard at work, within this."""

Argv = tuple[str, ...]

_LOOK: Final = """\
cd "$1" 2>/dev/null || exit 0
echo "current=$(readlink current)"; echo "previous=$(readlink previous)"; echo "running=$(systemctl is-active "$2")"
for each in agent-*.pyz; do [ -f "$each" ] && echo "bundle=$1/$each"; done; true
"""
_SWAP: Final = """\
set -e
cd "$1"; test -s "$2"
lead() { ln -sfn "$2" "$1.new" && mv -fT "$1.new" "$1"; }
old=$(readlink current) || true
[ "$old" = "$2" ] && exit 0
[ -z "$old" ] || lead previous "$old"
lead current "$2"
"""
_PRUNE: Final = """\
cd "$1" || exit 0
current=$(readlink current); previous=$(readlink previous)
for each in agent-*.pyz; do
  path=$1/$each
  [ "$path" = "$current" ] || [ "$path" = "$previous" ] || grep -qsF "$path" /proc/[0-9]*/environ || rm -f -- "$path"
done
"""


def path_of(digest: str) -> str:
    """Where a bundle lies. `digest`: its hash, or what it is abbreviated to."""
    return f"{FOLDER}/agent-{digest[: protocol.HASH_LENGTH]}.pyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Paths; empty when there is none."""

    current: str = ""
    previous: str = ""
    bundles: tuple[str, ...] = ()
    is_running: bool = False

    @property
    def way_back(self) -> str:
        """What to swap to when the current one does not work; empty: there is nothing else."""
        return self.previous if self.previous in self.bundles and self.previous != self.current else ""


def look() -> Argv:
    return _script(_LOOK, FOLDER, unit.NAME)


def read(said: str) -> Installed:
    """What `look` printed."""
    pairs = [line.partition("=")[::2] for line in said.splitlines()]
    by_name = dict(pairs)
    return Installed(
        current=by_name.get("current", ""),
        previous=by_name.get("previous", ""),
        bundles=tuple(value for name, value in pairs if name == "bundle"),
        is_running=by_name.get("running") == "active",
    )


def swap(path: str) -> Argv:
    """Makes it the current one, what was current the previous one. Fails when the file is not there."""
    return _script(_SWAP, FOLDER, path)


def restart() -> Argv:
    """Fails when the agent does not get ready; systemd goes on trying."""
    return ("systemctl", "restart", unit.NAME)


def self_test(path: str) -> Argv:
    """Before a swap: whether the bundle at this path can work there, by its own word (agent/self_test.py)."""
    return ("runuser", "-u", USER, "--", "/usr/bin/python3", path, "--config", CONFIG, "--self-test")


def prune() -> Argv:
    return _script(_PRUNE, FOLDER)


class Verdict(StrEnum):
    WAIT = "wait"
    PASSED = "passed"
    FAILED = "failed"


def gate(wanted: str, heard: Sequence[str], waited_s: float) -> Verdict:
    """`wanted`: the bundle's hash, or its beginning; `heard`: `agent_version` of heartbeats since the restart.

    One of the agent before may still be among them.
    """
    if any(protocol.bundle_of(version) == wanted[: protocol.HASH_LENGTH] for version in heard):
        return Verdict.PASSED
    return Verdict.FAILED if waited_s > GATE_S else Verdict.WAIT


def _script(text: str, *arguments: str) -> Argv:
    return ("sh", "-c", text, "ezstream", *arguments)
