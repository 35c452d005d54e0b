"""How a VPS stands at this moment, in one word with its reason: worked out of its row, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from fleet import outside
from fleet.checkups import IN_SERVICE
from fleet.models import OutsideLook, Vps, VpsQuerySet, VpsStatus, heard_lately
from kit.templatetags.kit import since

LONG_S: Final = 120
KINDS: Final = ("well", "full", "silent", "unhealthy", "draining", "out")


@dataclass(frozen=True, slots=True)
class Standing:
    """`kind`: one of KINDS; `out` is every state in which nothing is expected of it."""

    kind: str
    label: str
    tone: str
    reason: str = ""

    @property
    def is_trouble(self) -> bool:
        return self.tone == "danger"


def of(vps: Vps, now: datetime, look: OutsideLook | None = None) -> Standing:
    """`vps` with `current_streams`. `look`: says why it is silent."""
    if vps.state not in IN_SERVICE:
        return Standing("out", str(vps.state.label), vps.state.tone, vps.status_message)
    if not vps.is_reachable(now):
        return _silence(vps, now, outside.why_silent(look, vps.last_heartbeat_at, now))
    if vps.unhealthy:
        return Standing("unhealthy", _("unhealthy"), "danger", vps.unhealthy)
    return _in_order(vps)


def _silence(vps: Vps, now: datetime, why: str) -> Standing:
    if vps.last_heartbeat_at is None:
        return Standing("silent", _("never heard of"), "danger", why or vps.status_message)
    silent_s = int((now - vps.last_heartbeat_at).total_seconds())
    words = _("no heartbeat for %(s)d s") % {"s": silent_s}
    if silent_s >= LONG_S:
        words = _("last heartbeat %(when)s") % {"when": since(now - vps.last_heartbeat_at)}
    return Standing("silent", _("silent"), "danger", f"{words}: {why}" if why else words)


def _in_order(vps: Vps) -> Standing:
    held: int = vps.current_streams  # type: ignore[attr-defined]
    if not vps.accepting:
        return Standing("draining", _("shutting down"), "warning", _("its agent takes nothing new"))
    if vps.state is VpsStatus.DRAINING:
        carries = ngettext("%(n)d stream is still on it", "%(n)d streams are still on it", held) % {"n": held}
        reason = carries if held else _("nothing is on it any more")
        return Standing("draining", str(vps.state.label), "warning", vps.status_message or reason)
    if held >= vps.max_streams:
        return Standing("full", _("full"), "info", "")
    return Standing("well", _("takes streams"), "live", "")


def only(vpses: VpsQuerySet, kind: str, now: datetime) -> QuerySet[Vps]:
    """Those that stand so; `vpses` with `current_streams`. The same rules as `of`, for the database."""
    expected = vpses.filter(status__in=IN_SERVICE)
    heard = expected.filter(heard_lately(now))
    in_order = heard.filter(unhealthy="")
    drains = Q(status=VpsStatus.DRAINING) | Q(accepting=False)
    match kind:
        case "out":
            return vpses.exclude(status__in=IN_SERVICE)
        case "silent":
            return expected.filter(_silent(now))
        case "unhealthy":
            return heard.exclude(unhealthy="")
        case "draining":
            return in_order.filter(drains)
        case _:
            return _by_room(in_order.exclude(drains), kind)


def troubled(vpses: VpsQuerySet, now: datetime) -> QuerySet[Vps]:
    """Those whose standing is trouble: in service and silent or unhealthy, or failed."""
    ill = Q(status__in=IN_SERVICE) & (_silent(now) | ~Q(unhealthy=""))
    return vpses.filter(Q(status=VpsStatus.ERROR) | ill)


def _silent(now: datetime) -> Q:
    return Q(last_heartbeat_at__isnull=True) | ~heard_lately(now)


def _by_room(vpses: QuerySet[Vps], kind: str) -> QuerySet[Vps]:
    is_full = Q(current_streams__gte=F("max_streams"))
    return vpses.filter(is_full if kind == "full" else ~is_full)
