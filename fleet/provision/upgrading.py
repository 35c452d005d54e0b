"""The steps of an upgrade (AGT-7), and of the way back. Pure.

The bundle tests the server before anything leads to it: until then a file is there that nobody runs. What the agent is
told is not taken back with the bundle: a new password is the one that lasts, and neighbouring versions understand each
other's settings. nginx is left to provisioning: streams may be pushed by it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from django.utils.translation import gettext as _

from agent.protocol import HASH_LENGTH
from fleet.provision import files, installing, upgrade
from fleet.provision.installing import Agent
from fleet.provision.ssh import Result
from fleet.provision.step import Action, Command, Finding, Look, Step, Unfit, always

SERVICE: Final = "service"
"""The step from which on there is something to go back from."""
BACK: Final = "way-back"


def bundle(agent: Agent) -> Step:
    return Step(
        name="bundle",
        title=_("Put the new agent there"),
        look=files.look([agent.bundle]),
        make=always(Command(("mkdir", "-p", upgrade.FOLDER)), Command(upgrade.prune()), agent.bundle),
        limit_s=240,
    )


def service(agent: Agent) -> Step:
    """The link and the restart. One that runs from this bundle, with these settings, is not started again."""
    step = installing.service(agent)
    look = step.look
    if look is None:
        raise TypeError("the service is looked at")
    script = f'[ "$(readlink "$1")" = "$2" ] || exit 0; shift 2; {look.argv[2]}'
    argv = ("sh", "-c", script, "look", upgrade.LINK, agent.bundle.path, *look.argv[4:])
    return replace(
        step,
        title=_("Start the new agent"),
        look=Look(argv, look.judge),
        make=lambda seen: (Command(upgrade.swap(agent.bundle.path)), *step.make(seen)),
    )


def gate(agent: Agent) -> Step:
    """Passed by a heartbeat of this bundle that still names every stream on air."""
    return replace(
        installing.heartbeat(),
        name="gate",
        title=_("Hear the new agent, and its streams"),
        limit_s=upgrade.GATE_S,
        hears=hash_of(agent),
        remedy=_("`journalctl -u ezstream-agent` on the server says more."),
    )


def back(agent: Agent) -> tuple[Step, ...]:
    """To the agent before, when the new one does not work."""
    failed = agent.bundle.path

    def judge(seen: Result) -> Finding:
        found = upgrade.read(seen.out)
        return Finding(found.current != failed and found.is_running)

    def make(seen: Result) -> tuple[Action, ...]:
        found = upgrade.read(seen.out)
        if found.current == failed and not found.way_back:
            raise Unfit(_("There is no agent before it to go back to."), _("Provision it."))
        swap = (Command(upgrade.swap(found.way_back)),) if found.current == failed else ()
        # Without its stamp, whoever provisions it next knows that the new one was not what runs.
        return (*swap, Command(("rm", "-f", agent.stamp.path)), Command(upgrade.restart()))

    title = _("Go back to the agent before")
    return (
        Step(name=BACK, title=title, look=Look(upgrade.look(), judge), make=make, limit_s=90),
        replace(
            installing.heartbeat(), name="heard-again", title=_("Hear the agent before again"), limit_s=upgrade.GATE_S
        ),
    )


def hash_of(agent: Agent) -> str:
    """Of its bundle, as `upgrade.path_of` wrote it."""
    return PurePosixPath(agent.bundle.path).stem.partition("-")[2][:HASH_LENGTH]
