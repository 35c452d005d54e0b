"""What templates ask about streams."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streams import incident_page, platforms, telling
from streams.airing import RenewalView
from streams.models import DestinationState, Platform, Status
from streams.snapshot import Snapshot

register = template.Library()


@dataclass(frozen=True, slots=True)
class Count:
    words: str
    tone: str


@register.filter
def platform_icon(platform: str) -> str:
    """The name of the icon a platform is shown with."""
    return platforms.known(platform).icon


@register.filter
def platform_name(platform: str) -> str:
    return str(Platform(platform).label)


@register.filter
def bitrate(kbps: float | None) -> str:
    """A rate as people write it: 850 kbit/s, 2.9 Mbit/s."""
    if not kbps:
        return "–"
    if kbps >= 1000:
        return _("%(rate).1f Mbit/s") % {"rate": kbps / 1000}
    return _("%(rate)d kbit/s") % {"rate": kbps}


@register.filter
def lag(milliseconds: float | None) -> str:
    """How much of a stream waits: 20 ms, 1.4 s."""
    if milliseconds is None:
        return "–"
    if milliseconds >= 1000:
        return _("%(s).1f s") % {"s": milliseconds / 1000}
    return _("%(ms)d ms") % {"ms": milliseconds}


@register.filter
def share(part: float | None) -> str:
    """An uptime: 99.97 %."""
    return incident_page.percent(part)


@register.filter
def lasting(seconds: float) -> str:
    """How long, as people say it: 23 s, 4 min 5 s."""
    return telling.lasting(seconds)


@register.filter
def renewed_words(view: RenewalView) -> str:
    """When it was connected anew last, and how long that took."""
    said = _("connected anew as asked") if view.asked else _("renewed as planned")
    words = {"said": said, "at": _when(view.at) if view.at else "–", "time": telling.lasting(view.off_s)}
    return _("%(said)s at %(at)s, %(time)s off air") % words


@register.filter
def when(at: datetime) -> str:
    """A moment of these days: 14:03, 3 Dec 14:03."""
    return _when(at)


def _when(at: datetime) -> str:
    local = timezone.localtime(at)
    return date_format(local, "H:i" if local.date() == timezone.localdate() else "j M H:i")


@register.filter
def overall_tone(snapshot: Snapshot) -> str:
    """The state's tone; a warning while something that is switched on is not live."""
    if snapshot.state is not Status.STREAMING:
        return snapshot.state.tone
    enabled = [each for each in snapshot.destinations if each.enabled]
    well = (
        not snapshot.is_stale
        and snapshot.slate is None
        and all(each.state in (DestinationState.LIVE, DestinationState.RENEWING) for each in enabled)
    )
    return "live" if well else "warning"


@register.simple_tag
def destination_count(snapshot: Snapshot) -> Count:
    """How many destinations are live of those switched on; at rest, how many there are."""
    enabled = [each for each in snapshot.destinations if each.enabled]
    if snapshot.state.is_resting:
        words = ngettext("%(n)d destination", "%(n)d destinations", len(enabled))
        return Count(words % {"n": len(enabled)}, "neutral")
    live = sum(each.state in (DestinationState.LIVE, DestinationState.RENEWING) for each in enabled)
    tone = "live" if live == len(enabled) else "warning" if live else "neutral"
    return Count(_("%(live)d of %(all)d live") % {"live": live, "all": len(enabled)}, tone)
