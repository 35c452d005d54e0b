"""The steps of provisioning, of an upgrade and of decommissioning, in their order (FLT-3, FLT-4, AGT-7). Pure.

What the server needs to be reached stays as it is until the end: SSH is closed to nobody before a key has been tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fleet.provision import apt, dismantling, firewall, host, installing, login, upgrading
from fleet.provision.apt import Upgrade
from fleet.provision.installing import Agent
from fleet.provision.step import Step

FROM_SETTINGS: Final = "bundle"
"""This step and those after it follow from our settings and the VPS's row, which people mend when one has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one server is to be. `public_line`: the key that takes the password's place; empty: it stays."""

    agent: Agent
    upgrade: Upgrade = Upgrade.SECURITY
    has_firewall: bool = True
    ssh_user: str = "root"
    ssh_port: int = 22
    public_line: str = ""
    has_password: bool = False


def steps(plan: Plan) -> tuple[Step, ...]:
    return (
        host.system(),
        apt.mend(),
        apt.lists(),
        *([apt.upgrade(plan.upgrade)] if plan.upgrade is not Upgrade.NONE else []),
        apt.packages(),
        host.clock(),
        host.others_nginx(),
        host.user(),
        host.directories(),
        installing.bundle(plan.agent),
        installing.configuration(plan.agent),
        installing.nginx(plan.agent),
        installing.self_test(plan.agent),
        *([firewall.step(plan.ssh_port)] if plan.has_firewall else []),
        *([_key(plan)] if plan.public_line else []),
        installing.service(plan.agent),
        installing.heartbeat(),
    )


def upgrade_steps(plan: Plan) -> tuple[Step, ...]:
    return (
        upgrading.bundle(plan.agent),
        installing.self_test(plan.agent),
        installing.configuration(plan.agent),
        upgrading.service(plan.agent),
        upgrading.gate(plan.agent),
    )


def decommission_steps() -> tuple[Step, ...]:
    return (
        dismantling.agent(),
        dismantling.nginx(),
        dismantling.firewall(),
        dismantling.user(),
        dismantling.remains(),
    )


def _key(plan: Plan) -> Step:
    return login.step(plan.ssh_user, plan.public_line, has_password=plan.has_password)
