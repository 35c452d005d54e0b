"""What Redis is told about the users of agents: one for each VPS, held to its own four channels (RED-6).

Selectors (Redis 7, Valkey) tell who may hear a channel from who may speak on it: an agent cannot command itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agent.protocol import commands_channel, progress_channel, status_channel, vps_channel

_OURS: Final = re.compile(r"vps-([1-9][0-9]{0,18})")
COMMANDS: Final = ("+ping", "+client|setname", "+unsubscribe", "+time")
"""What agents send beside signing in (AUTH and HELLO are everybody's), SUBSCRIBE and PUBLISH; the time is asked for by
agent/self_test.py, to compare clocks."""


def user_name(vps_id: int) -> str:
    return f"vps-{vps_id}"


def vps_of_user(name: str) -> int | None:
    """None for a user that is not one of ours."""
    found = _OURS.fullmatch(name)
    return int(found[1]) if found else None


def digest(password: str) -> str:
    """As Redis keeps it (SHA-256): it is told this, and the password itself never leaves for it."""
    return hashlib.sha256(password.encode()).hexdigest()


def rules(vps_id: int, digests: Iterable[str]) -> list[str]:
    """For ACL SETUSER. `reset` first: whatever the user was, this is what it is afterwards, in one step; connections
    that stay allowed are not dropped."""
    hear = commands_channel(vps_id)
    speak = [status_channel(vps_id), progress_channel(vps_id), vps_channel(vps_id)]
    return [
        *("reset", "on", *(f"#{each}" for each in digests)),
        *("resetkeys", "resetchannels", "-@all", *COMMANDS),
        f"(-@all +subscribe resetchannels &{hear})",
        f"(-@all +publish resetchannels {' '.join(f'&{each}' for each in speak)})",
    ]


def names_of(user: str, connections: Iterable[Mapping[str, str]]) -> Sequence[str]:
    """What the connections of one user call themselves (CLIENT LIST)."""
    return [each.get("name", "") for each in connections if each.get("user") == user]
