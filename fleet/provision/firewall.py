"""The step that closes every port but SSH (FLT-4). Pure.

The rules are loaded in one transaction that lets SSH in, also the connection in hand. Then a new one is tried; until it
stood, a timer on the server is about to take the rules away again. Where ufw is at work, it is asked instead.
"""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from fleet.provision import places
from fleet.provision.files import digest
from fleet.provision.ssh import Result
from fleet.provision.step import Action, Command, Finding, Look, Step, Upload, Verb, fields, known

UNDO_S: Final = 60
_UNDO: Final = "ezstream-firewall-undo"
_LOOK: Final = """\
file=$1
if command -v ufw >/dev/null && ufw status | grep -q '^Status: active'
then
  allowed=$(ufw status | grep -E '^[0-9]+(/tcp)? ' | grep ALLOW | cut -d ' ' -f 1)
  echo ufw=active; echo "allowed="$allowed
fi
mkdir -p /run/sshd 2>/dev/null
ssh=$(sshd -T 2>/dev/null | grep '^port ' | cut -d ' ' -f 2)
web=$(ss -Hltnp 2>/dev/null | grep '"nginx"' | tr -s ' ' | cut -d ' ' -f 4 | grep -v '^127\\.' | sed 's/.*://')
echo "ssh="$ssh; echo "web="$web
echo "file=$(sha256sum <"$file" 2>/dev/null | cut -d ' ' -f 1)"
echo "unit=$(sha256sum <"$2" 2>/dev/null | cut -d ' ' -f 1)"
nft list table inet ezstream >/dev/null 2>&1 && echo loaded=yes
echo "starts=$(systemctl is-enabled "${2##*/}" 2>/dev/null)"
"""
_RULES: Final = """\
#!/usr/sbin/nft -f
table inet ezstream
delete table inet ezstream
table inet ezstream {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        ct state invalid drop
        iif lo accept
        tcp dport {{ {ports} }} accept
        icmp type {{ echo-request, destination-unreachable, time-exceeded, parameter-problem }} accept
        icmpv6 type {{ echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem,
                      nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept
        udp sport 67 udp dport 68 accept
        udp sport 547 udp dport 546 accept
    }}
}}
"""
_UNIT: Final = f"""\
[Unit]
Description=Firewall of EZStream: SSH, and nothing else from outside
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target shutdown.target
After=nftables.service
PartOf=nftables.service
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {places.FIREWALL}
ExecStop=-/usr/sbin/nft delete table inet ezstream

[Install]
WantedBy=sysinit.target
"""
"""By default it would come after sysinit.target: a circle where cloud-init, before that, waits for the network."""
UNIT: Final = Upload(f"{places.UNITS}/{places.FIREWALL_UNIT}", _UNIT.encode())
_FAILURES: Final = (
    known(
        r"operation not supported|could not process rule|protocol not supported",
        gettext_noop("The kernel of this server has no nftables."),
        gettext_noop("Set PROVISION_FIREWALL=0, and close its ports at the provider, then resume."),
    ),
)


def ports(seen: Result, ssh_port: int) -> list[int]:
    """What stays open: SSH, as we reach it and as it listens, and what an nginx of others serves."""
    found = fields(seen.out)
    words = f"{found.get('ssh', '')} {found.get('web', '')}".split()
    return sorted({ssh_port, *(int(word) for word in words if word.isdigit())})


def rules(open_ports: list[int]) -> bytes:
    return _RULES.format(ports=", ".join(map(str, open_ports))).encode()


def step(ssh_port: int) -> Step:
    def judge(seen: Result) -> Finding:
        found = fields(seen.out)
        wanted = ports(seen, ssh_port)
        if found.get("ufw") == "active":
            allowed = {int(port) for port in re.findall(r"\d+", found.get("allowed", ""))}
            return Finding(ssh_port in allowed, _("ufw is at work here: its rules are left as they are."))
        is_loaded = found.get("loaded") == "yes" and found.get("starts") == "enabled"
        is_same = (found.get("file"), found.get("unit")) == (digest(rules(wanted)), digest(UNIT.content))
        return Finding(is_loaded and is_same, _("Open: %(ports)s") % {"ports": ", ".join(map(str, wanted))})

    def make(seen: Result) -> tuple[Action, ...]:
        if fields(seen.out).get("ufw") == "active":
            return (Command(("ufw", "allow", f"{ssh_port}/tcp")),)
        return _make(rules(ports(seen, ssh_port)))

    return Step(
        name="firewall",
        title=_("Close every port but SSH"),
        look=Look(("sh", "-c", _LOOK, "look", places.FIREWALL, UNIT.path), judge),
        make=make,
        limit_s=120,
        failures=_FAILURES,
        remedy=_("Where no new connection came through, the rules are gone by now. Look at its SSH port, then resume."),
    )


def _make(content: bytes) -> tuple[Action, ...]:
    undo = ("systemd-run", "--quiet", "--collect", f"--unit={_UNDO}", f"--on-active={UNDO_S}",
            "nft", "delete", "table", "inet", "ezstream")  # fmt: skip
    stop = ("sh", "-c", f"systemctl stop {_UNDO}.timer 2>/dev/null; true")
    return (
        Upload(places.FIREWALL, content, 0o600),
        UNIT,
        Command(("nft", "-c", "-f", places.FIREWALL)),
        Command(stop),
        Command(undo),
        Command(("nft", "-f", places.FIREWALL)),
        Verb.NEW_CONNECTION,
        Command(stop),
        Command(("systemctl", "daemon-reload")),
        Command(("systemctl", "enable", places.FIREWALL_UNIT)),
    )
