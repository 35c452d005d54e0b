"""What each VPS has sent this month (UTC), against what its contract allows (EDGE-9).

Counted from the agents' own counters, which every heartbeat carries: what grew since the last look is added. So
heartbeats that are lost, and listeners that are away, lose nothing; only what a machine sends while no agent runs on
it is not seen. Two listeners count nothing twice: rows are locked, and an older word changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from django.db import transaction

from fleet.models import MonthTraffic, Vps
from kit.conflicts import again_on_conflict

GB: Final = 10**9
"""As providers count."""
BIGGEST: Final = 2**62
AHEAD_S: Final = 30.0
"""An agent's clock may be ahead by this. What one says that is further ahead, as before its first word from NTP, does
not count: all that is true would be older. Nothing is lost by it, the counter goes on."""
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Meter:
    """What an agent said it has sent since it began, and when, by its own clock."""

    sent_bytes: int
    said_at: float


def month_of(moment: datetime) -> date:
    return moment.astimezone(UTC).date().replace(day=1)


def share_gone(moment: datetime) -> float:
    """Of its month, 0..1."""
    first = datetime.combine(month_of(moment), datetime.min.time(), UTC)
    following = (first + timedelta(days=32)).replace(day=1)
    return (moment - first) / (following - first)


def used_this_month(vps_ids: Iterable[int], now: datetime) -> dict[int, int]:
    """Bytes, by VPS."""
    rows = MonthTraffic.objects.filter(vps_id__in=list(vps_ids), month=month_of(now))
    return dict(rows.values_list("vps_id", "sent_bytes"))


@again_on_conflict
def book(meters: Mapping[int, Meter], now: datetime) -> None:
    """A fixed number of queries per five hundred VPSes. What grew across the turn of a month counts for the new one."""
    month, latest = month_of(now), now.timestamp() + AHEAD_S
    with transaction.atomic():
        _begin(set(meters), month)
        rows = list(MonthTraffic.objects.select_for_update().filter(vps_id__in=meters, month=month).order_by("pk"))
        changed = [row for row in rows if _count(row, meters[row.vps_id], latest)]
        MonthTraffic.objects.bulk_update(changed, ["sent_bytes", "counter", "said_at"], batch_size=BATCH)


def _begin(vps_ids: set[int], month: date) -> None:
    """A row for each that has none this month; it goes on from where the last one stood."""
    without = Vps.objects.filter(pk__in=vps_ids).exclude(traffic__month=month)
    new = set(without.values_list("pk", flat=True))
    if not new:
        return
    older = MonthTraffic.objects.filter(vps_id__in=new, month__lt=month).order_by("month")
    last = {row.vps_id: row for row in older}
    rows = [
        MonthTraffic(vps_id=vps_id, month=month, counter=last[vps_id].counter, said_at=last[vps_id].said_at)
        if vps_id in last
        else MonthTraffic(vps_id=vps_id, month=month)
        for vps_id in sorted(new)
    ]
    MonthTraffic.objects.bulk_create(rows, ignore_conflicts=True, batch_size=BATCH)


def _count(row: MonthTraffic, meter: Meter, latest: float) -> bool:
    """False: nothing new. A counter that is lower than before began again from nothing. What lies beyond `latest` was
    never said."""
    is_older = row.said_at is not None and meter.said_at <= row.said_at <= latest
    if is_older or meter.said_at > latest:
        return False
    counter = min(BIGGEST, max(0, meter.sent_bytes))
    if row.counter is not None:
        row.sent_bytes += counter - row.counter if counter >= row.counter else counter
    row.counter, row.said_at = counter, meter.said_at
    return True
