"""The script behind the command: what provisioning would do over SSH, done by the server itself. Pure.

The part that thinks is fleet/enrol.sh, as it stands; the part that is data (files, packages, commands) is written here
from provisioning's own steps, so that both roads lead to the same server. Everything is quoted here, once.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from fleet.provision import apt, host, installing, places, upgrade
from fleet.provision.installing import Agent
from fleet.provision.ssh import Result, put_argv
from fleet.provision.step import Action, Command, Step, Upload

_BODY: Final = Path(__file__).with_name("enrol.sh")
_NOTHING_SEEN: Final = Result(0)
_HEAD: Final = """\
#!/bin/sh
# Adds this server to EZStream: installs the agent, registers it once, starts it. Undoes what it did when it cannot.
set -eu
"""


@dataclass(frozen=True, slots=True)
class Enrolling:
    """`base`: where the control plane takes what the script asks, with the token."""

    base: str = field(repr=False)
    agent: Agent
    sha256: str
    is_secure: bool
    site_ca: str = ""
    """PEM: who signed for the control plane, besides whom the server's system trusts."""


def render(what: Enrolling) -> str:
    agent = what.agent
    values = {
        "EZ_BASE": what.base,
        "EZ_PROTOCOLS": "=https" if what.is_secure else "=http,https",
        "EZ_BUNDLE": agent.bundle.path,
        "EZ_SHA256": what.sha256,
        "EZ_USER": places.USER,
        "EZ_HOME": places.HOME,
        "EZ_FOLDER": upgrade.FOLDER,
        "EZ_ETC": places.ETC,
        "EZ_NGINX_ETC": places.NGINX_ETC,
        "EZ_ENVIRONMENT": places.ENVIRONMENT,
        "EZ_STAMP": agent.stamp.path,
        "EZ_AUTHORITIES": " ".join(each.path for each in agent.more),
        "EZ_SITE_CA": what.site_ca,
        "EZ_UNIT": agent.unit.path,
        "EZ_UNITS": f"{places.AGENT_UNIT} {places.NGINX_UNIT}",
    }
    lines = "".join(f"{name}={_quoted(value)}\n" for name, value in values.items())
    return f"{_HEAD}{lines}{_functions(agent)}{_body()}"


def refuse(words: str) -> str:
    """For a token that is no good: a script that says so and fails, for sh takes what comes."""
    return f"#!/bin/sh\nprintf '%s\\n' {_quoted(f'EZStream: {words}')} >&2\nexit 1\n"


@cache
def _body() -> str:
    return _BODY.read_text()


def _functions(agent: Agent) -> str:
    parts: dict[str, Iterable[Action]] = {
        "ez_lists": _of(apt.lists()),
        "ez_packages": apt.install(*apt.PACKAGES),
        "ez_user": _of(host.user()),
        "ez_directories": _of(host.directories()),
        "ez_folder": [Command(("mkdir", "-p", upgrade.FOLDER))],
        "ez_swap": [Command(upgrade.swap(agent.bundle.path))],
        "ez_files": agent.more,
        "ez_self_test": [Command(upgrade.self_test(agent.bundle.path))],
        "ez_nginx": _of(installing.nginx(agent)),
        "ez_service": [each for each in _of(installing.service(agent)) if each != agent.stamp],
    }
    return "".join(f"{name}() {{\n{_lines(actions)}}}\n" for name, actions in parts.items())


def _of(step: Step) -> tuple[Action, ...]:
    return step.make(_NOTHING_SEEN)


def _lines(actions: Iterable[Action]) -> str:
    return "".join(f"  {_line(each)}\n" for each in actions) or "  :\n"


def _line(action: Action) -> str:
    match action:
        case Command():
            return f"{shlex.join(action.argv)} </dev/null"
        case Upload():
            put = shlex.join(put_argv(action.path, len(action.content), action.mode, action.owner))
            return f"printf %s {base64.b64encode(action.content).decode()} | base64 -d | {put}"
    raise TypeError("what the control plane does itself has no place in a script")


def _quoted(text: str) -> str:
    """Always in quotes, also where shlex sees no need."""
    return "'" + text.replace("'", "'\"'\"'") + "'"
