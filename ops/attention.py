"""What needs an operator's attention now, the gravest first, each with what to do about it. Pure, but for the words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from ops.fleet_load import UPLINK_SHARE

LONG_QUEUE: Final = 50
FEW_SLOTS: Final = 0.1
"""Of all, free."""
NAMED: Final = 5
LISTENER: Final = "listener"
_ORDER: Final = ("danger", "warning", "info")

STARTS: Final = {
    "worker": "dramatiq ezstream.worker --queues default",
    "media": "dramatiq ezstream.worker --queues media",
    "fleet": "dramatiq ezstream.worker --queues fleet",
    "listener": "manage.py stream_listen",
    "scheduler": "manage.py run_scheduler",
    "tunnels": "manage.py redis_tunnels",
}


@dataclass(frozen=True, slots=True)
class Concern:
    tone: str
    what: str
    todo: str
    url: str
    """Where it is done, or where there is more to see."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that has a name, a page and a reason."""

    name: str
    reason: str
    url: str
    is_silent: bool = False
    """A server that may be well: it is we who hear nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    missing: Mapping[str, str] = field(default_factory=dict)
    """Processes of ours that are not seen: why, by kind."""
    redis_is_away: bool = False
    waiting: int = 0
    dead: int = 0
    failing: int = 0
    stuck: int = 0
    """Streams that have been starting or stopping for longer than that takes."""
    going_on: tuple[Trouble, ...] = ()
    """Incidents that have not ended."""
    servers: tuple[Trouble, ...] = ()
    """VPSes that are silent, unhealthy or failed; `servers_total` of them in all."""
    servers_total: int = 0
    slots: int = 0
    held: int = 0
    uplink_mbit: float = 0.0
    uplink_limit_mbit: float = 0.0
    traffic: tuple[Trouble, ...] = ()
    seen: tuple[Trouble, ...] = ()
    """What was seen from outside of VPSes that beat; `seen_total` of them in all, and how many wait for a reboot."""
    seen_total: int = 0
    reboots: int = 0
    reboot_names: tuple[str, ...] = ()
    """Of the first of them."""
    foreign: int = 0
    """Agents of another protocol."""
    jobs: tuple[Trouble, ...] = ()
    """Periodic jobs that failed or are overdue."""
    files: int = 0


def concerns(facts: Facts) -> list[Concern]:
    found = [*_ours(facts), *_streams(facts), *_fleet(facts), *_rest(facts)]
    return sorted(found, key=lambda each: _ORDER.index(each.tone))


def _ours(facts: Facts) -> Iterator[Concern]:
    if facts.redis_is_away:
        todo = _("Streams on air go on. Starts, stops and changes wait until it is back: see to the Redis server.")
        yield Concern("danger", _("Redis does not answer"), todo, reverse("health_ready"))
    for kind, why in facts.missing.items():
        todo = _("Start it: %(command)s") % {"command": STARTS.get(kind, kind)}
        if kind == LISTENER:
            todo += ". " + _("Until then nothing is heard of the VPSes, whatever they do.")
        yield Concern("danger", f"{kind}: {why}", todo, reverse("admin:ops_process_changelist"))
    if facts.dead:
        words = ngettext("%(n)d background job was given up", "%(n)d background jobs were given up", facts.dead)
        todo = _("The log of the worker says which and why; manage.py redis_health_check shows the queues.")
        yield Concern("warning", words % {"n": facts.dead}, todo, reverse("admin:index") + "#queues")
    if facts.waiting >= LONG_QUEUE:
        words = _("%(n)d background jobs wait") % {"n": facts.waiting}
        todo = _("Start more workers, or see what holds them up.")
        yield Concern("warning", words, todo, reverse("admin:index") + "#queues")


def _streams(facts: Facts) -> Iterator[Concern]:
    streams = reverse("admin:streams_stream_changelist")
    if facts.stuck:
        words = ngettext(
            "%(n)d stream has been starting or stopping for over a minute",
            "%(n)d streams have been starting or stopping for over a minute",
            facts.stuck,
        )
        todo = _("See how far it got; force it to stop if its VPS does not answer.")
        yield Concern("warning", words % {"n": facts.stuck}, todo, f"{streams}?status__in=STARTING,STOPPING")
    for each in facts.going_on[:NAMED]:
        yield Concern("warning", f"«{each.name}»: {each.reason}", _("See what proves it, and since when."), each.url)
    if facts.failing:
        words = ngettext("%(n)d stream has failed", "%(n)d streams have failed", facts.failing) % {"n": facts.failing}
        todo = _("Each says why. Start it again when that is mended.")
        yield Concern("danger", words, todo, f"{streams}?status__exact=ERROR")


def _fleet(facts: Facts) -> Iterator[Concern]:
    servers = [each for each in facts.servers if not (each.is_silent and LISTENER in facts.missing)]
    for each in servers[:NAMED]:
        todo = _("It gets no new streams. Its page says more.")
        yield Concern("danger", f"{each.name}: {each.reason}", todo, each.url)
    more = facts.servers_total - len(servers[:NAMED])
    if more > 0 and LISTENER not in facts.missing:
        words = ngettext("%(n)d more VPS is not well", "%(n)d more VPSes are not well", more) % {"n": more}
        yield Concern("danger", words, _("See the list."), reverse("admin:fleet") + "?standing=trouble")
    if facts.foreign:
        words = ngettext(
            "%(n)d agent speaks another protocol", "%(n)d agents speak another protocol", facts.foreign
        )  # fmt: skip
        todo = _("Upgrade it: until then its VPS gets no new streams.")
        yield Concern("warning", words % {"n": facts.foreign}, todo, reverse("admin:fleet") + "?sort=version")
    yield from _seen(facts)
    yield from _room(facts)
    for each in facts.traffic[:NAMED]:
        todo = _("It gets no new streams until the month ends, or until its allowance is raised.")
        yield Concern("warning", f"{each.name}: {each.reason}", todo, each.url)


def _seen(facts: Facts) -> Iterator[Concern]:
    fleet = reverse("admin:fleet")
    for each in facts.seen[:NAMED]:
        todo = _("Nothing is moved for it. Its page says more; test the connection there.")
        yield Concern("warning", f"{each.name}: {each.reason}", todo, each.url)
    more = facts.seen_total - len(facts.seen[:NAMED])
    if more > 0:
        words = ngettext("%(n)d more VPS looks odd from outside", "%(n)d more VPSes look odd from outside", more)
        yield Concern("warning", words % {"n": more}, _("manage.py vps_health_check --all names them."), fleet)
    if facts.reboots:
        words = ngettext("%(n)d VPS waits for a reboot", "%(n)d VPSes wait for a reboot", facts.reboots)
        todo = _("Drain it, reboot it, and let it take streams again.")
        names = ", ".join(facts.reboot_names) + (" …" if facts.reboots > len(facts.reboot_names) else "")
        yield Concern("info", f"{words % {'n': facts.reboots}}: {names}", todo, fleet)


def _room(facts: Facts) -> Iterator[Concern]:
    free = max(0, facts.slots - facts.held)
    fleet = reverse("admin:fleet")
    if facts.slots and free == 0:
        todo = _("The next start will be refused. Add a VPS.")
        yield Concern("danger", _("No slot is free in the fleet"), todo, fleet)
    elif facts.slots and free <= facts.slots * FEW_SLOTS:
        words = ngettext("Only %(n)d slot of %(all)d is free", "Only %(n)d slots of %(all)d are free", free)
        yield Concern("warning", words % {"n": free, "all": facts.slots}, _("Add a VPS soon."), fleet)
    if facts.uplink_limit_mbit and facts.uplink_mbit >= facts.uplink_limit_mbit * UPLINK_SHARE:
        share = facts.uplink_mbit / facts.uplink_limit_mbit * 100
        words = _("%(n)d %% of the fleet's uplink is used") % {"n": share}
        yield Concern("warning", words, _("Add a VPS, or spread the streams."), f"{fleet}?sort=-uplink")


def _rest(facts: Facts) -> Iterator[Concern]:
    for each in facts.jobs[:NAMED]:
        yield Concern("warning", f"{each.name}: {each.reason}", _("See when it ran and what came of it."), each.url)
    if facts.files:
        words = ngettext("%(n)d file failed in 24 hours", "%(n)d files failed in 24 hours", facts.files)
        url = reverse("admin:media_library_videofile_changelist") + "?status__exact=failed"
        yield Concern("info", words % {"n": facts.files}, _("Each says why; its owner sees it too."), url)
