"""What an operator sees first (OPS-2): what needs attention, then what is on air, what went wrong, how the fleet and
our own processes are. Its queries do not grow with the fleet or the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import redis
from django.conf import settings
from django.db.models import Count, F, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from fleet import standing
from fleet.models import OutsideLook, Vps
from kit.templatetags.kit import since
from media_library.models import FileStatus, VideoFile
from ops import fleet_load, outside_notes, processes, queues
from ops.attention import Facts, Trouble, concerns
from ops.fleet_load import FleetLoad
from ops.incidents import GRAVE
from ops.models import Job
from streams import incident_log, pages
from streams.incident_log import Told
from streams.models import Status, Stream, Transition

SHOWN: Final = 12
LATELY: Final = timedelta(hours=24)
LATE: Final = timedelta(minutes=1)
STUCK: Final = timedelta(minutes=1)
MOST_INCIDENTS: Final = 200
_REDIS_LIMIT_S: Final = 2.0


def look(now: datetime) -> dict[str, Any]:
    """The home page's context, in a fixed number of queries."""
    counts: dict[str, int] = dict(Stream.objects.order_by().values_list("status").annotate(Count("pk")))
    told = incident_log.told_of_all(now - LATELY, now, MOST_INCIDENTS, GRAVE)
    load = fleet_load.look(now)
    fleet = _fleet(now)
    depths = _queues()
    facts = _facts(now, counts, told, load, fleet, depths)
    return {
        "concerns": concerns(facts),
        "on_air": pages.rows(_longest_on_air(), now),
        "on_air_total": counts.get(Status.STREAMING, 0),
        "moving_total": counts.get(Status.STARTING, 0) + counts.get(Status.STOPPING, 0),
        "failing_total": counts.get(Status.ERROR, 0),
        "failed": _failed_lately(now),
        "incidents": told[:SHOWN],
        "incidents_total": len(told),
        "load": load,
        "fleet": fleet,
        "queues": depths,
        "waiting_total": None if depths is None else sum(queue.waiting + queue.delayed for queue in depths),
        "processes": _processes(now),
        "at": now,
    }


# ------------------------------------------------------------------------------------------------ attention


def _facts(
    now: datetime, counts: Mapping[str, int], told: list[Told], load: FleetLoad, fleet: list[FleetRow],
    depths: list[Queue] | None,
) -> Facts:  # fmt: skip
    moving = Stream.objects.filter(status__in=[Status.STARTING, Status.STOPPING], status_since__lt=now - STUCK)
    files = VideoFile.objects.filter(status=FileStatus.FAILED, created_at__gte=now - LATELY)
    return Facts(
        missing=processes.missing(now),
        redis_is_away=depths is None,
        waiting=sum(queue.waiting for queue in depths or ()),
        dead=sum(queue.dead for queue in depths or ()),
        failing=counts.get(Status.ERROR, 0),
        stuck=moving.count() if counts.get(Status.STARTING, 0) + counts.get(Status.STOPPING, 0) else 0,
        going_on=tuple(_incident(one) for one in told if one.ended_at is None and one.stream.state is not Status.ERROR),
        servers=tuple(_server(row) for row in fleet if row.standing.is_trouble),
        servers_total=load.troubled,
        slots=load.slots,
        held=load.held,
        uplink_mbit=load.uplink_mbit,
        uplink_limit_mbit=load.uplink_limit_mbit,
        traffic=tuple(Trouble(each.name, each.words, _page_of(each.vps_id)) for each in load.traffic),
        foreign=load.foreign,
        jobs=tuple(_jobs(now)),
        files=files.count(),
        **_outside(now),
    )


def _outside(now: datetime) -> dict[str, Any]:
    found = outside_notes.look(now)
    return {
        "seen": tuple(Trouble(each.name, each.words, _page_of(each.vps_id)) for each in found.named),
        "seen_total": found.total,
        "reboots": found.reboots,
        "reboot_names": found.reboot_names,
    }


def _incident(one: Told) -> Trouble:
    return Trouble(one.stream.title, one.words, reverse("streams:incidents", args=[one.stream.pk]))


def _server(row: FleetRow) -> Trouble:
    reason = row.standing.label if not row.standing.reason else f"{row.standing.label}, {row.standing.reason}"
    return Trouble(row.vps.name, reason, _page_of(row.vps.pk), row.standing.kind == "silent")


def _page_of(vps_id: int) -> str:
    return reverse("admin:vps", args=[vps_id])


def _jobs(now: datetime) -> list[Trouble]:
    rows = Job.objects.filter(Q(last_succeeded=False) | Q(next_run_at__lt=now - LATE))
    return [Trouble(job.name, _why(job, now), reverse("admin:ops_job_change", args=[job.pk])) for job in rows]


def _why(job: Job, now: datetime) -> str:
    if job.last_succeeded is False:
        return _("failed: %(result)s") % {"result": job.last_result}
    return _("overdue, was to run %(when)s") % {"when": since(now - job.next_run_at)}


# ------------------------------------------------------------------------------------------------ the parts


@dataclass(frozen=True, slots=True)
class FleetRow:
    vps: Vps
    standing: standing.Standing


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    waiting: int
    delayed: int
    dead: int


def _failed_lately(now: datetime) -> list[Transition]:
    rows = Transition.objects.filter(new=Status.ERROR, at__gte=now - LATELY)
    return list(rows.select_related("stream__owner", "run__vps")[:SHOWN])


def _longest_on_air() -> list[Stream]:
    """Found first and then fetched: thousands need not be joined to show a dozen."""
    found = Stream.objects.on_air().order_by("status_since", "pk").values_list("pk", flat=True)[:SHOWN]
    rows = Stream.objects.select_related("owner", "run__vps").filter(pk__in=list(found))
    return list(rows.order_by("status_since", "pk"))


def _fleet(now: datetime) -> list[FleetRow]:
    """Those in trouble first, then those that carry most."""
    vpses = Vps.objects.with_current_streams()
    in_trouble: QuerySet[Vps] = standing.troubled(vpses, now).order_by("name")[:SHOWN]
    found = list(in_trouble)
    if len(found) < SHOWN:
        others = vpses.exclude(pk__in=[vps.pk for vps in found]).order_by(F("current_streams").desc(), "name")
        found += others[: SHOWN - len(found)]
    looks = OutsideLook.objects.in_bulk([vps.pk for vps in found])
    return [FleetRow(vps, standing.of(vps, now, looks.get(vps.pk))) for vps in found]


def _queues() -> list[Queue] | None:
    """None: Redis does not answer."""
    limits = {"socket_timeout": _REDIS_LIMIT_S, "socket_connect_timeout": _REDIS_LIMIT_S}
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **limits) as client:
            found = queues.depths(client)
    except redis.RedisError:
        return None
    states = ("waiting", "delayed", "dead")
    return [Queue(name, *(found[name, state] for state in states)) for name in queues.QUEUES]


def _processes(now: datetime) -> list[dict[str, Any]]:
    """One row per kind that must run: when it was last seen, None for never."""
    newest = processes.last_seen()
    return [
        {"kind": kind, "seen_at": newest.get(kind), "is_alive": _is_fresh(newest.get(kind), now)}
        for kind in processes.expected()
    ]


def _is_fresh(seen_at: datetime | None, now: datetime) -> bool:
    return seen_at is not None and now - seen_at <= processes.FRESH
