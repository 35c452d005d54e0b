"""The platforms we know, as data: where they take a stream, where the key is found, what they limit.

To add one: a member of `models.Platform`, an entry here, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from streams.models import Destination, Platform

Text = str | Promise
MARGIN_H: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """One server a platform takes streams at."""

    label: Text
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a platform takes. None: no such limit is known."""

    most_kbps: int | None = None
    """Of the picture."""
    best_key_frames_s: int | None = None
    most_key_frames_s: int | None = None
    ends_after_h: int | None = None
    """The platform itself ends a broadcast that is longer."""
    keeps_h: int | None = None
    """A longer broadcast is not kept as a video."""

    @property
    def renew_every_h(self) -> float | None:
        """Half an hour before the platform's time is up."""
        ends = [hours for hours in (self.ends_after_h, self.keeps_h) if hours is not None]
        return min(ends) - MARGIN_H if ends else None

    def words(self) -> Iterator[str]:
        if self.most_kbps:
            yield _("At most %(rate)d Mbit/s.") % {"rate": self.most_kbps // 1000}
        if self.most_key_frames_s:
            yield _("Key frames %(best)d seconds apart are best, %(most)d at most.") % {
                "best": self.best_key_frames_s,
                "most": self.most_key_frames_s,
            }
        elif self.best_key_frames_s:
            yield _("Key frames %(best)d seconds apart.") % {"best": self.best_key_frames_s}
        if self.ends_after_h:
            yield _("A broadcast ends after %(hours)d hours.") % {"hours": self.ends_after_h}
        if self.keeps_h:
            yield _("Only a broadcast of up to %(hours)d hours is kept as a video afterwards.") % {
                "hours": self.keeps_h
            }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a person needs to know to send a stream to a platform."""

    platform: Platform
    ingests: tuple[Ingest, ...] = ()
    """The first is filled in by default."""
    key_help: Text
    key_page: str = ""
    """Where on the platform's site the key is shown."""
    limits: Limits = Limits()
    notes: tuple[Text, ...] = ()
    """Who is let in, and what else surprises people."""
    icon: str = "globe2"

    @property
    def name(self) -> str:
        return str(self.platform.label)

    @property
    def url(self) -> str:
        """The server URL filled in; empty when only the user knows it."""
        return self.ingests[0].url if self.ingests else ""

    @property
    def facts(self) -> list[str]:
        """Limits and notes as sentences."""
        return [*self.limits.words(), *map(str, self.notes)]


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        platform=Platform.YOUTUBE,
        icon="youtube",
        ingests=(
            Ingest(label=_("main server, encrypted"), url="rtmps://a.rtmps.youtube.com:443/live2"),
            Ingest(label=_("backup server, encrypted"), url="rtmps://b.rtmps.youtube.com:443/live2?backup=1"),
            Ingest(label=_("main server"), url="rtmp://a.rtmp.youtube.com/live2"),
            Ingest(label=_("backup server"), url="rtmp://b.rtmp.youtube.com/live2?backup=1"),
        ),
        key_help=_("YouTube Studio → Create → Go live → Stream → «Stream key»."),
        key_page="https://studio.youtube.com/channel/UC/livestreaming",
        limits=Limits(most_kbps=51_000, best_key_frames_s=2, most_key_frames_s=4, keeps_h=12),
        notes=(
            _("Recommended: 12 Mbit/s for 1080p at 60 frames a second, 35 Mbit/s for 2160p."),
            _("The first live stream of a channel is allowed 24 hours after you ask for it."),
            _(
                "The backup server takes the same key at the same time as the main one: add it as a second destination "
                "and YouTube switches over when one of them breaks."
            ),
        ),
    ),
    Known(
        platform=Platform.TWITCH,
        icon="twitch",
        ingests=(
            Ingest(label=_("nearest server"), url="rtmp://live.twitch.tv/app"),
            Ingest(label=_("nearest server, encrypted"), url="rtmps://ingest.global-contribute.live-video.net:443/app"),
        ),
        key_help=_("Creator Dashboard → Settings → Stream → «Primary stream key»."),
        key_page="https://dashboard.twitch.tv/settings/stream",
        limits=Limits(most_kbps=6_000, best_key_frames_s=2, ends_after_h=48),
        notes=(_("H.264 only, 1080p at 60 frames a second or less."),),
    ),
    Known(
        platform=Platform.FACEBOOK,
        icon="facebook",
        ingests=(Ingest(label=_("encrypted"), url="rtmps://live-api-s.facebook.com:443/rtmp"),),
        key_help=_("Live Producer → Streaming software → «Stream key». Switch «Persistent stream key» on."),
        key_page="https://www.facebook.com/live/producer",
        limits=Limits(most_kbps=9_000, best_key_frames_s=2, most_key_frames_s=4, ends_after_h=8),
        notes=(
            _("1080p at 60 frames a second or less, about 16:9, always with sound."),
            _("The account has to be 60 days old, with at least 100 followers."),
            _("Size and frame rate must not change in mid-broadcast: put alike videos into the playlist."),
        ),
    ),
    Known(
        platform=Platform.KICK,
        icon="kick",
        ingests=(Ingest(label=_("encrypted"), url="rtmps://fa723fc1b171.global-contribute.live-video.net:443/app"),),
        key_help=_("Creator Dashboard → Settings → Stream → «Stream key»."),
        key_page="https://kick.com/dashboard/settings/stream",
        limits=Limits(most_kbps=8_000, best_key_frames_s=2),
        notes=(
            _("1080p at 60 frames a second or less."),
            _("If the dashboard shows another stream URL than this one, paste that, with /app at its end."),
        ),
    ),
    Known(
        platform=Platform.TROVO,
        icon="trovo",
        ingests=(Ingest(label=_("main server"), url="rtmp://livepush.trovo.live/live"),),
        key_help=_("Trovo Studio → Stream → «Stream key»."),
        key_page="https://studio.trovo.live/mychannel/stream",
        limits=Limits(most_kbps=9_000, best_key_frames_s=2),
        notes=(_("H.264 only, 1080p at 60 frames a second or less."),),
    ),
    Known(
        platform=Platform.CUSTOM,
        key_help=_(
            "Ask whoever runs the server. Other software calls it «stream name», or puts it last in the address."
        ),
        notes=(_("An address that starts with rtmp:// or rtmps://, without the key."),),
    ),
)

_BY_PLATFORM: Final = {known.platform: known for known in KNOWN}


def known(platform: str) -> Known:
    """What is known of a platform by its stored value. Raises KeyError for one we never had."""
    return _BY_PLATFORM[Platform(platform)]


def renew_every_s(destination: Destination) -> float | None:
    """The longest that one broadcast there gets: as its owner wants, else as the platform allows. None: no limit."""
    wanted: float | None = destination.renew_every_h
    if wanted is None:
        wanted = known(destination.platform).limits.renew_every_h
    return wanted * 3600.0 if wanted else None


def limits_words() -> str:
    """YouTube 12 h, Twitch 48 h, …"""
    hours = ((each.name, each.limits.renew_every_h) for each in KNOWN)
    return ", ".join(f"{name} {limit + MARGIN_H:.0f} h" for name, limit in hours if limit is not None)
