"""The wire between hosts: a bridge with this machine on it, and a way out for names and packages only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.hosts.needs import run, try_run

_RANGE: Final = "10.77"
_RANGE6: Final = "fd77:0:0"
_FORWARD: Final = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Network:
    """One lab's. `number` (1 to 250) makes its names and addresses."""

    number: int

    @property
    def bridge(self) -> str:
        return f"ezlab{self.number}"

    @property
    def machines(self) -> str:
        """What the names of its hosts begin with."""
        return f"ez{self.number}-"

    def address(self, host: int = 1) -> str:
        """1 is this machine."""
        return f"{_RANGE}.{self.number}.{host}"

    def address6(self, host: int = 1) -> str:
        return f"{_RANGE6}:{self.number}::{host}"

    def make(self) -> None:
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "address", "add", f"{self.address()}/24", "dev", self.bridge)
        try_run("ip", "address", "add", f"{self.address6()}/64", "dev", self.bridge, "nodad")
        run("ip", "link", "set", self.bridge, "up")
        # An address of ours that nobody has any more must not be asked for outside.
        run("ip", "route", "add", "blackhole", f"{self.address(0)}/24", "metric", "4000")
        run("nft", "-f", "-", given=_RULES.format(table=self.bridge, range=f"{self.address(0)}/24"))
        _FORWARD.write_text("1")

    def remove(self) -> None:
        try_run("nft", "delete", "table", "ip", self.bridge)
        try_run("ip", "route", "delete", "blackhole", f"{self.address(0)}/24", "metric", "4000")
        try_run("ip", "link", "delete", self.bridge)

    def exists(self) -> bool:
        return Path(f"/sys/class/net/{self.bridge}").exists()


_RULES: Final = """
table ip {table} {{
  chain out {{
    type nat hook postrouting priority srcnat
    ip saddr {range} ip daddr != {range} masquerade
  }}
  chain through {{
    type filter hook forward priority filter
    ip saddr {range} ip daddr {range} accept
    ip saddr {range} tcp dport {{ 53, 80, 443 }} accept
    ip saddr {range} udp dport 53 accept
    ip saddr {range} reject
  }}
}}
"""


def forwarding() -> str:
    return _FORWARD.read_text().strip()


def restore_forwarding(value: str) -> None:
    _FORWARD.write_text(value)


def resolv_conf() -> str:
    """The machine's name servers, as another host can reach them: not a resolver on the machine's own loopback."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        text = path.read_text() if path.exists() else ""
        servers = re.findall(r"(?m)^nameserver\s+(?!127\.|::1)\S+", text)
        if servers:
            return "\n".join(servers) + "\n"
    return ""
