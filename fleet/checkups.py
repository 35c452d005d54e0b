"""The health check of VPSes: what `fleet.health` finds of each is written into its row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import transaction
from django.utils.translation import ngettext

from fleet import outside
from fleet.health import SILENT_S, Vitals, harms, judge
from fleet.models import OutsideLook, Vps, VpsStatus
from kit import bulk
from kit.conflicts import again_on_conflict

log = structlog.get_logger(__name__)
IN_SERVICE: Final = (VpsStatus.ACTIVE, VpsStatus.DRAINING)
"""Of the others nothing is expected, so nothing of them is wrong."""


@dataclass(frozen=True, slots=True)
class Checkup:
    """`reason` empty: well. `before`: what the last check had found. `notes`: what needs attention all the same."""

    vps_id: int
    name: str
    reason: str
    before: str
    harms_since: datetime | None
    notes: tuple[str, ...] = ()


def check_all(now: datetime) -> str:
    """Every VPS; for the scheduler: what came of it in a sentence."""
    return _told(check(Vps.objects.all(), now))


def check_unhealthy(now: datetime) -> str:
    """Those marked, again and sooner, so that they come back by themselves as soon as they are well."""
    return _told(check(Vps.objects.exclude(unhealthy=""), now))


@again_on_conflict
@transaction.atomic
def check(vpses: Iterable[Vps], now: datetime) -> list[Checkup]:
    """As they are now, behind their locks: a heartbeat that came since they were read knows better."""
    rows = list(bulk.locked(Vps, [vps.pk for vps in vpses]))
    looks = OutsideLook.objects.in_bulk([vps.pk for vps in rows])
    found = [_check(vps, looks.get(vps.pk), now) for vps in rows]
    bulk.update_rows(Vps, {each.vps_id: _columns(each, now) for each in found})
    return found


def _columns(found: Checkup, now: datetime) -> dict[str, Any]:
    return {"unhealthy": found.reason, "harms_since": found.harms_since, "last_health_check_at": now}


def _check(vps: Vps, look: OutsideLook | None, now: datetime) -> Checkup:
    is_expected = vps.state in IN_SERVICE
    vitals, was_unhealthy = _vitals(vps, now), bool(vps.unhealthy)
    reason = judge(vitals, was_unhealthy=was_unhealthy) if is_expected else ""
    if reason and (vitals.silent_s is None or vitals.silent_s > SILENT_S):
        reason = ": ".join(filter(None, (reason, outside.why_silent(look, vps.last_heartbeat_at, now))))
    does_harm = bool(reason) and harms(vitals, was_unhealthy=was_unhealthy)
    if bool(reason) != bool(vps.unhealthy):
        log.warning("fleet.unhealthy" if reason else "fleet.well_again", vps=vps.pk, reason=reason or vps.unhealthy)
    harms_since = (vps.harms_since or now) if does_harm else None
    return Checkup(vps.pk, vps.name, reason[:500], vps.unhealthy, harms_since, tuple(outside.notes(look)))


def _vitals(vps: Vps, now: datetime) -> Vitals:
    heard = vps.last_heartbeat_at
    return Vitals(
        silent_s=(now - heard).total_seconds() if heard else None,
        busy=vps.busy,
        memory=vps.memory,
        disk=vps.disk,
        clock_offset_s=vps.clock_offset_s,
        protocol=vps.agent_protocol,
    )


def _told(checkups: list[Checkup]) -> str:
    ill = [f"{each.name}: {each.reason}" for each in checkups if each.reason]
    words = ngettext("%(n)d VPS looked at", "%(n)d VPSes looked at", len(checkups)) % {"n": len(checkups)}
    return "; ".join([words, *ill])
