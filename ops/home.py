"""What an operator sees first: what is on air, what failed, how the fleet and our own processes are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count

from fleet.models import Vps
from media_library.models import FileStatus, VideoFile
from ops import processes
from ops.models import Job
from streams import pages
from streams.models import Status, Stream, Transition

SHOWN: Final = 12
VPSES_SHOWN: Final = 50
LATELY: Final = timedelta(hours=24)


def look(now: datetime) -> dict[str, Any]:
    """The home page's context, in a fixed number of queries."""
    counts = dict(Stream.objects.order_by().values_list("status").annotate(Count("pk")))
    vpses = list(Vps.objects.with_current_streams())
    return {
        "on_air": pages.rows(_longest_on_air(), now),
        "on_air_total": sum(counts.get(status, 0) for status in Status if not status.is_resting),
        "failing_total": counts.get(Status.ERROR, 0),
        "failed": _failed_lately(now),
        "fleet": _fleet(vpses, now),
        "fleet_total": len(vpses),
        "processes": _processes(now),
        "jobs_failed": list(Job.objects.filter(last_succeeded=False)),
        "files_failed": VideoFile.objects.filter(status=FileStatus.FAILED, created_at__gte=now - LATELY).count(),
    }


def _failed_lately(now: datetime) -> list[Transition]:
    rows = Transition.objects.filter(new=Status.ERROR, at__gte=now - LATELY)
    return list(rows.select_related("stream__owner", "run__vps")[:SHOWN])


def _longest_on_air() -> list[Stream]:
    """Found first and then fetched: thousands need not be joined to show a dozen."""
    found = Stream.objects.on_air().order_by("status_since", "pk").values_list("pk", flat=True)[:SHOWN]
    rows = Stream.objects.select_related("owner", "run__vps").filter(pk__in=list(found))
    return list(rows.order_by("status_since", "pk"))


def _fleet(vpses: list[Vps], now: datetime) -> list[dict[str, Any]]:
    """Of many, those with something wrong before the others."""
    if len(vpses) > VPSES_SHOWN:
        vpses = sorted(vpses, key=lambda vps: not vps.unhealthy and vps.is_reachable(now))
    return [{"vps": vps, "is_reachable": vps.is_reachable(now)} for vps in vpses[:VPSES_SHOWN]]


def _processes(now: datetime) -> list[dict[str, Any]]:
    """One row per kind that must run: when it was last seen, None for never."""
    newest = processes.last_seen()
    return [
        {"kind": kind, "seen_at": newest.get(kind), "is_alive": _is_fresh(newest.get(kind), now)}
        for kind in processes.KINDS
    ]


def _is_fresh(seen_at: datetime | None, now: datetime) -> bool:
    return seen_at is not None and now - seen_at <= processes.FRESH
