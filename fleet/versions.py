"""How an agent's version stands to this control plane's. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from agent.protocol import PROTOCOL_VERSION, is_compatible


@dataclass(frozen=True, slots=True)
class Skew:
    """`kind`: same, older, newer, other (a build that cannot be told), unknown, or protocol: the grave one, of which
    neither understands the other. A neighbouring protocol is understood."""

    kind: str
    words: str

    @property
    def tone(self) -> str:
        return {"same": "live", "protocol": "danger", "unknown": "neutral"}.get(self.kind, "warning")


def skew(theirs: str, protocol: int | None, ours: str, our_protocol: int = PROTOCOL_VERSION) -> Skew:
    """`ours`: what an agent of the bundle we bring calls itself. One that runs from its source names no bundle."""
    if not theirs:
        return Skew("unknown", _("never said"))
    if protocol is not None and protocol != our_protocol:
        return _foreign(protocol, our_protocol)
    if theirs in (ours, ours.partition("+")[0]):
        return Skew("same", _("as this control plane"))
    mine, other = _numbers(ours), _numbers(theirs)
    if other < mine:
        return Skew("older", _("older than this control plane (%(ours)s)") % {"ours": ours})
    if other > mine:
        return Skew("newer", _("newer than this control plane (%(ours)s)") % {"ours": ours})
    return Skew("other", _("another build than this control plane's (%(ours)s)") % {"ours": ours})


def _foreign(protocol: int, ours: int) -> Skew:
    numbers = {"theirs": protocol, "ours": ours}
    if not is_compatible(protocol, ours):
        return Skew("protocol", _("speaks protocol %(theirs)d, this control plane %(ours)d") % numbers)
    words = _("speaks protocol %(theirs)d, this control plane %(ours)d: they understand each other")
    return Skew("older" if protocol < ours else "newer", words % numbers)


def _numbers(version: str) -> tuple[Any, ...]:
    """1.10.2+abc → (1, 10, 2): builds of one version cannot be told apart by age."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("+")[0]))
