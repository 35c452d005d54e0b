"""Real servers on one machine: bare Debian with systemd, sshd, apt and an address of its own, up in seconds.

`with Lab() as lab: host = lab.host("a")`, then `host.address`, `host.password`, `host.run([…])`, `host.reboot()`,
`host.power_off()`, `host.freeze()`, `host.cut()`. Needs root; what else is missing says `lab.hosts.needs.missing()`.

What is real in them: units, restarts, watchdogs, journal, reboots, apt, dpkg's locks, a full disk, nft, changed host
keys, a cut or lossy link. What is not: limits of memory and CPU (accepted, not enforced), load and memory of their own
(they show the machine's), a clock of their own.
"""

from lab.hosts.host import Host
from lab.hosts.lab import Lab

__all__ = ["Host", "Lab"]
