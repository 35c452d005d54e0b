"""What was seen of a VPS from outside, in words. Pure.

An agent that beats is well: what it says itself is newer and nearer. What was seen from outside says why one is silent,
and what somebody should see to although nothing is wrong with its streams.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _

from fleet.health import FAR_OFF_S, FULL_DISK
from fleet.models import OutsideLook
from fleet.provision.outside import ABSENT, OK, RUNS

FRESH: Final = timedelta(minutes=11)
"""Two rounds, and what they take."""


def why_silent(look: OutsideLook | None, heard_at: datetime | None, now: datetime) -> str:
    """Empty: nobody looked since it was last heard of, or nothing was found."""
    if look is None or look.looked_at < now - FRESH or (heard_at and look.looked_at <= heard_at):
        return ""
    if look.trouble:
        return f"SSH: {look.trouble}"
    return "; ".join(_faults(look))


def notes(look: OutsideLook | None) -> list[str]:
    """What needs somebody's attention although its streams are fine."""
    return list(_notes(look)) if look else []


def _notes(look: OutsideLook) -> Iterator[str]:
    if look.trouble:
        yield f"SSH: {look.trouble}"
    if look.needs_reboot:
        yield _("It waits to be rebooted.")
    if look.nginx not in ("", RUNS, ABSENT):
        yield _("Its nginx does not run: systemd says «%(state)s».") % {"state": look.nginx}


def _faults(look: OutsideLook) -> Iterator[str]:
    if look.agent == ABSENT:
        yield _("no agent is installed there")
    elif look.agent not in ("", RUNS):
        yield _("its agent does not run: systemd says «%(state)s»") % {"state": look.agent}
    if look.redis not in ("", OK):
        yield _("Redis is not reached from there: %(why)s") % {"why": look.redis}
    if FULL_DISK.is_crossed(look.disk, was_crossed=False):
        yield _("disk %(n)d %% full") % {"n": look.disk or 0}
    if abs(look.clock_offset_s or 0.0) > FAR_OFF_S:
        yield _("clock wrong by %(s)+d s") % {"s": look.clock_offset_s or 0}
