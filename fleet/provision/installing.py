"""Steps that put the agent there: its bundle, what it is told, its nginx, its service. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from django.utils.translation import gettext as _

from fleet.provision import files, places, upgrade
from fleet.provision.remedies import PORT_TAKEN
from fleet.provision.ssh import Result
from fleet.provision.step import Command, Finding, Look, Step, Unfit, Upload, always, fields, known

_SERVICE: Final = """\
for unit; do echo "$unit=$(systemctl is-active "$unit") $(systemctl is-enabled "$unit" 2>/dev/null)"; done; true
"""
_NGINX_UNIT: Final = f"""\
[Unit]
Description=nginx-rtmp beside the EZStream agent
After=network.target

[Service]
Type=forking
User={places.USER}
Group={places.USER}
UMask=0077
RuntimeDirectory=ezstream-nginx
LogsDirectory=ezstream-nginx
PIDFile=/run/ezstream-nginx/nginx.pid
ExecStart=/usr/sbin/nginx -e /var/log/ezstream-nginx/error.log -c {places.NGINX_CONF}
ExecReload=/usr/sbin/nginx -e /var/log/ezstream-nginx/error.log -c {places.NGINX_CONF} -s reload
Restart=always
RestartSec=2
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ReadWritePaths={places.NGINX_ETC}

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True)
class Agent:
    """What is put there."""

    bundle: Upload
    unit: Upload
    environment: Upload = field(repr=False)
    nginx_conf: bytes = b""
    more: tuple[Upload, ...] = ()
    """Certificates, and what else its environment names."""

    @property
    def stamp(self) -> Upload:
        parts = (self.unit.content, self.environment.content, self.bundle.path.encode())
        return files.stamp_of(f"{places.ETC}/agent.started", *parts, *(each.content for each in self.more))


def bundle(agent: Agent) -> Step:
    """The file first, then the link, in one rename: whoever starts meanwhile finds the old one or the new."""
    path = agent.bundle.path
    there = files.look([agent.bundle])
    script = f'[ "$(readlink "$1")" = "$2" ] || exit 0; shift; {there.argv[2]}'
    return Step(
        name="bundle",
        title=_("Put the agent there"),
        look=Look(("sh", "-c", script, "look", upgrade.LINK, path), there.judge),
        make=always(
            Command(("mkdir", "-p", upgrade.FOLDER)),
            agent.bundle,
            Command(upgrade.swap(path)),
            Command(upgrade.prune()),
        ),
        limit_s=240,
    )


def configuration(agent: Agent) -> Step:
    wanted = (agent.environment, *agent.more)
    return Step(name="configuration", title=_("Tell it who it is"), look=files.look(wanted), make=always(*wanted))


def nginx(agent: Agent) -> Step:
    owner = f"{places.USER}:{places.USER}"
    wanted = (
        Upload(places.NGINX_CONF, agent.nginx_conf, 0o600, owner),
        Upload(f"{places.UNITS}/{places.NGINX_UNIT}", _NGINX_UNIT.encode()),
    )
    stamp = files.stamp_of(f"{places.ETC}/nginx.started", *(each.content for each in wanted))
    return Step(
        name="nginx",
        title=_("Start nginx-rtmp for the agent"),
        look=_running(places.NGINX_UNIT, (*wanted, stamp)),
        make=always(*wanted, *_restart(places.NGINX_UNIT), stamp),
        failures=(PORT_TAKEN,),
        why=_journal(places.NGINX_UNIT),
        remedy=_("`journalctl -u ezstream-nginx` on the server says more."),
    )


def self_test(agent: Agent) -> Step:
    """The agent's own word on whether it can work there, before anything depends on it."""

    def judge(seen: Result) -> Finding:
        try:
            found = json.loads(seen.out)
            faults = [str(each["message"]) for each in found["checks"] if not each["ok"]]
        except (ValueError, KeyError, TypeError):
            raise Unfit(_("The agent cannot test the server: %(why)s") % {"why": seen.said[-300:]}) from None
        if faults:
            raise Unfit("; ".join(faults), _("Mend it on the server or in the settings, then resume."))
        return Finding(True, str(found["version"]))

    argv = upgrade.self_test(agent.bundle.path)
    return Step(name="self-test", title=_("Have the agent test the server"), look=Look(argv, judge, limit_s=60))


def service(agent: Agent) -> Step:
    """Streams on air outlive the restart (AGT-7)."""
    return Step(
        name="service",
        title=_("Start the agent"),
        look=_running(places.AGENT_UNIT, (agent.unit, agent.stamp)),
        make=always(agent.unit, *_restart(places.AGENT_UNIT), agent.stamp),
        limit_s=90,
        why=_journal(places.AGENT_UNIT),
        failures=(
            known(
                r"EZSTREAM_\w+ is not set|EZSTREAM_\w+: ",
                _("The agent does not accept what it was told."),
                _("This is a fault of the control plane's settings: compare them with deploy/env.example."),
            ),
        ),
        remedy=_("`journalctl -u ezstream-agent` on the server says more."),
    )


def heartbeat() -> Step:
    return Step(
        name="heartbeat",
        title=_("Wait for its first heartbeat"),
        limit_s=60,
        is_heartbeat=True,
        why=_journal(places.AGENT_UNIT),
        remedy=_(
            "The agent runs, but is not heard. Can the server reach Redis (AGENT_REDIS_PUBLIC_URL), and does the "
            "listener run here? `journalctl -u ezstream-agent` on the server says more."
        ),
    )


def _running(unit: str, wanted: tuple[Upload, ...]) -> Look:
    there = files.look(wanted)
    script = f'set -- "$@"; unit=$1; shift; ( set -- "$unit"; {_SERVICE.strip()} ); {there.argv[2]}'

    def judge(seen: Result) -> Finding:
        first, _line, rest = seen.out.partition("\n")
        runs = fields(first).get(unit) == "active enabled"
        return Finding(runs and there.judge(Result(seen.status, rest)).is_so)

    return Look(("sh", "-c", script, "look", unit, *(each.path for each in wanted)), judge)


def _journal(unit: str) -> tuple[str, ...]:
    return ("journalctl", "--unit", unit, "--lines", "30", "--no-pager", "--output", "cat")


def _restart(unit: str) -> tuple[Command, ...]:
    return (
        Command(("systemctl", "daemon-reload")),
        Command(("systemctl", "enable", unit)),
        Command(("systemctl", "restart", unit)),
    )
