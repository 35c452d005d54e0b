"""A server with an agent on it, in a folder: real scripts over real SSH; systemd and the agents themselves are played.

What an agent does is written in its bundle: «works», «broken» does not start, «mute» is not heard, «forgets» is heard
and names no stream. It is heard whenever somebody looks.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from pathlib import Path

import pytest
from django.utils import timezone

from fleet.models import Vps
from fleet.provision import bundle, dismantling, gating, places, planning, upgrade
from fleet.provision.bundle import Bundle
from fleet.provision.installing import Agent
from fleet.provision.step import Upload
from fleet.provision.steps import Plan
from fleet.tests.ssh_server import PASSWORD, SshServer
from streams.models import Run

SYSTEMCTL = """\
#!/bin/sh
home={home}
echo "$*" >>$home/asked
case "$1" in
  is-active) [ "$2" = --quiet ] && exec grep -q '^active$' $home/state; cat $home/state ;;
  is-enabled) [ "$2" = --quiet ] && exec grep -q '^active$' $home/state; echo enabled ;;
  disable) echo inactive >$home/state ;;
  restart)
    readlink $home/opt/current >$home/running
    [ ! -e $home/stuck ] || exit 1
    grep -q broken $home/opt/current && {{ echo failed >$home/state; exit 1; }}
    echo active >$home/state ;;
esac
"""
RUNUSER = "#!/bin/sh\ncat {home}/self-test; [ ! -e {home}/unfit ]\n"
FIT = '{"version": "new", "checks": [{"name": "redis", "ok": true, "message": "answers"}]}'
USER = "ezt-nobody"


class Upgradable:
    """Root's own folder stands for `/`; `offer` is what the control plane brings from now on."""

    def __init__(self, home: Path, server: SshServer, patch: pytest.MonkeyPatch) -> None:
        self.home, self.server, self._patch = home, server, patch
        for name in ("opt", "etc", "units", "bin", "var"):
            (home / name).mkdir(parents=True)
        self.program("systemctl", SYSTEMCTL)
        self.program("runuser", RUNUSER)
        self.program("journalctl", "#!/bin/sh\necho what the journal says\n")
        (home / "asked").touch()
        (home / "self-test").write_text(FIT)
        (home / "state").write_text("inactive\n")
        server.path = str(home / "bin")
        self._move_in()

    def _move_in(self) -> None:
        opt, etc = str(self.home / "opt"), str(self.home / "etc")
        for name, value in (("FOLDER", opt), ("LINK", f"{opt}/current"), ("PREVIOUS", f"{opt}/previous")):
            self._patch.setattr(upgrade, name, value)
        self._patch.setattr(places, "ETC", etc)
        self._patch.setattr(places, "UNITS", str(self.home / "units"))
        self._patch.setattr(places, "USER", USER)
        self._patch.setattr(dismantling, "_FILES", (opt, etc, str(self.home / "var")))
        look = gating.look

        def heard_when_looked_at(vps: Vps, *times: object) -> object:
            self.beat(vps)
            return look(vps, *times)

        self._patch.setattr(gating, "look", heard_when_looked_at)

    def program(self, name: str, text: str) -> None:
        path = self.home / "bin" / name
        path.write_text(text.format(home=self.home))
        path.chmod(0o755)

    # ---------------------------------------------------------------------------------------- what is brought
    def offer(self, does: str, settings: str = "A=1") -> Bundle:
        content = does.encode()
        digest = hashlib.sha256(content).hexdigest()
        made = Bundle(content, digest, f"{does.split()[0]}+{digest[:12]}")
        whoami = pwd.getpwuid(os.getuid()).pw_name
        owner = f"{whoami}:{whoami}"
        agent = Agent(
            bundle=Upload(upgrade.path_of(digest), content, owner=owner),
            unit=Upload(f"{places.UNITS}/{places.AGENT_UNIT}", b"unit", owner=owner),
            environment=Upload(f"{places.ETC}/agent.env", settings.encode(), 0o600, owner),
        )
        self._patch.setattr(bundle, "current", lambda: made)
        self._patch.setattr(planning, "plan_for", lambda vps: Plan(agent=agent))
        self.agent = agent
        return made

    def install(self, does: str, vps: Vps) -> Bundle:
        """As provisioning left it."""
        made = self.offer(does)
        agent = self.agent
        for upload in (agent.bundle, agent.unit, agent.environment, agent.stamp):
            Path(upload.path).write_bytes(upload.content)
            Path(upload.path).chmod(upload.mode)
        self.link.symlink_to(agent.bundle.path)
        (self.home / "running").write_text(f"{agent.bundle.path}\n")
        (self.home / "state").write_text("active\n")
        self.beat(vps)
        return made

    # ---------------------------------------------------------------------------------------- what is seen
    @property
    def link(self) -> Path:
        return self.home / "opt" / "current"

    def restarts(self) -> int:
        return (self.home / "asked").read_text().splitlines().count(f"restart {places.AGENT_UNIT}")

    def beat(self, vps: Vps) -> None:
        """The heartbeat of what runs, if it gives one."""
        path = Path((self.home / "running").read_text().strip() or "none")
        does = path.read_text() if path.exists() else "broken"
        if (self.home / "state").read_text() != "active\n" or does.startswith(("mute", "broken")):
            return
        now = timezone.now()
        Vps.objects.filter(pk=vps.pk).update(agent_version=f"{does.split()[0]}+{path.stem[6:]}", last_heartbeat_at=now)
        if not does.startswith("forgets"):
            Run.objects.filter(vps=vps, slot_released_at=None).update(reported_at=now)


def row_of(server: SshServer, name: str = "fra-1", **fields: object) -> Vps:
    row = Vps(name=name, host=server.host, ssh_port=server.port, host_key=server.target().host_key, **fields)
    row.set_password(PASSWORD)
    row.save()
    return row
