"""What was seen from outside of VPSes whose heartbeats come, and somebody should see to: in three queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Q

from fleet import looking, outside
from fleet.checkups import IN_SERVICE
from fleet.models import Vps, heard_lately
from fleet.provision.outside import ABSENT, RUNS

SHOWN: Final = 6


@dataclass(frozen=True, slots=True)
class Odd:
    vps_id: int
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Notes:
    """`named`: the first of `total`. Those that wait for a reboot, without harm, stand apart; names of the first."""

    named: tuple[Odd, ...]
    total: int
    reboots: int
    reboot_names: tuple[str, ...]


def look(now: datetime) -> Notes:
    seen = Vps.objects.filter(looking.with_login(), heard_lately(now), status__in=IN_SERVICE, outside__isnull=False)
    odd = ~Q(outside__trouble="") | ~Q(outside__nginx__in=("", RUNS, ABSENT))
    waits = Q(outside__needs_reboot=True)
    counts = seen.aggregate(odd=Count("pk", filter=odd), reboots=Count("pk", filter=waits))
    rows = seen.filter(odd).select_related("outside").order_by("name")[:SHOWN]
    named = tuple(Odd(vps.pk, vps.name, " ".join(outside.notes(vps.outside))) for vps in rows)
    names = seen.filter(waits).order_by("name").values_list("name", flat=True)[:SHOWN]
    return Notes(named, counts["odd"], counts["reboots"], tuple(names))
