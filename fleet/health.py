"""Whether a VPS is fit for new streams, from what its agent said of it (FLT-5). Pure.

A limit that was crossed is held against a VPS until it is well clear of it: at the limit itself it would come and go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from agent.protocol import PROTOCOL_VERSION, is_compatible

SILENT_S: Final = 60.0
FAR_OFF_S: Final = 30.0
"""A clock this wrong: signed addresses run out early, and what an agent says of the past is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Percent: unfit from `bad` on; once it was, until it is below `good`."""

    bad: float
    good: float

    def is_crossed(self, value: float | None, was_crossed: bool) -> bool:
        return value is not None and value >= (self.good if was_crossed else self.bad)


BUSY: Final = Limit(95.0, 80.0)
MEMORY: Final = Limit(95.0, 88.0)
DISK: Final = Limit(95.0, 90.0)


FULL_DISK: Final = Limit(99.0, 97.0)
"""Nothing can be fetched or written down any more: the next item of a list may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """`silent_s` None: never heard of. Percentages None: never said."""

    silent_s: float | None
    busy: float | None = None
    memory: float | None = None
    disk: float | None = None
    clock_offset_s: float | None = None
    protocol: int | None = None


def judge(vitals: Vitals, *, was_unhealthy: bool = False) -> str:
    """Why it should get no new streams, in words; empty when it may."""
    if vitals.silent_s is None:
        return _("never heard of")
    if vitals.silent_s > SILENT_S:
        return _("no heartbeat for %(s)d s") % {"s": vitals.silent_s}
    return "; ".join(_complaints(vitals, was_unhealthy))


def harms(vitals: Vitals, *, was_unhealthy: bool = False) -> bool:
    """Whether that harms what is on air there: it runs late, or will be killed. A clock that is wrong, an old agent and
    a disk that is merely nearly full harm nothing that plays; silence is for `streams.converge`, which is quicker."""
    return (
        BUSY.is_crossed(vitals.busy, was_unhealthy)
        or MEMORY.is_crossed(vitals.memory, was_unhealthy)
        or FULL_DISK.is_crossed(vitals.disk, was_unhealthy)
    )


def _complaints(vitals: Vitals, was_unhealthy: bool) -> Iterator[str]:
    if vitals.protocol is not None and not is_compatible(vitals.protocol):
        words = _("its agent speaks protocol %(theirs)d, this control plane %(ours)d: upgrade the agent")
        yield words % {"theirs": vitals.protocol, "ours": PROTOCOL_VERSION}
    if DISK.is_crossed(vitals.disk, was_unhealthy):
        yield _("disk %(n)d %% full") % {"n": vitals.disk or 0}
    if MEMORY.is_crossed(vitals.memory, was_unhealthy):
        yield _("memory %(n)d %% used") % {"n": vitals.memory or 0}
    if BUSY.is_crossed(vitals.busy, was_unhealthy):
        yield _("overloaded: CPU %(n)d %% over minutes") % {"n": vitals.busy or 0}
    if abs(vitals.clock_offset_s or 0.0) > FAR_OFF_S:
        yield _("clock wrong by %(s)+d s") % {"s": vitals.clock_offset_s or 0}
