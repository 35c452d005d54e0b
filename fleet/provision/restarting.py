"""The agent of a server begun anew, over SSH: its playouts go on meanwhile (`KillMode=process`)."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from fleet.models import Vps
from fleet.provision import planning, upgrade
from fleet.provision.dialing import Limits
from fleet.provision.errors import SshError
from fleet.provision.ssh import connect

LIMITS: Final = Limits(connect_s=5.0, banner_s=5.0, auth_s=5.0, command_s=20.0, total_s=10.0)
"""An operator waits for the page, and the agent is ready within seconds or has something to say in its journal."""


def restart_agent(vps: Vps) -> None:
    """Comes back when the agent says that it is ready. Raises `SshError`, `CannotOpenError`."""
    with connect(planning.known_target_of(vps), LIMITS) as ssh:
        done = ssh.run(upgrade.restart())
    if not done.is_ok:
        raise SshError(_("Its agent does not get ready: %(why)s") % {"why": done.said[-300:]})
