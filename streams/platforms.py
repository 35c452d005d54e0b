"""The platforms we know, as data: where they take a stream, where the key is found, what they limit.

To add one: a member of `models.Platform`, an entry here, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from streams.models import Platform

Text = str | Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """One server a platform takes streams at."""

    label: Text
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a person needs to know to send a stream to a platform."""

    platform: Platform
    ingests: tuple[Ingest, ...] = ()
    """The first is filled in by default."""
    key_help: Text
    key_page: str = ""
    """Where on the platform's site the key is shown."""
    limits: tuple[Text, ...] = ()
    icon: str = "globe2"

    @property
    def name(self) -> str:
        return str(self.platform.label)

    @property
    def url(self) -> str:
        """The server URL filled in; empty when only the user knows it."""
        return self.ingests[0].url if self.ingests else ""


KNOWN: Final[tuple[Known, ...]] = (
    Known(
        platform=Platform.YOUTUBE,
        icon="youtube",
        ingests=(
            Ingest(label=_("main server"), url="rtmp://a.rtmp.youtube.com/live2"),
            Ingest(label=_("main server, encrypted"), url="rtmps://a.rtmps.youtube.com:443/live2"),
            Ingest(label=_("backup server"), url="rtmp://b.rtmp.youtube.com/live2?backup=1"),
        ),
        key_help=_("YouTube Studio → Create → Go live → Stream → «Stream key»."),
        key_page="https://studio.youtube.com/channel/UC/livestreaming",
        limits=(
            _("The first live stream of a channel is allowed 24 hours after you ask for it."),
            _("Only broadcasts of up to 12 hours are kept as a video afterwards."),
            _("Key frames at most 4 seconds apart, 2 are best."),
        ),
    ),
    Known(
        platform=Platform.TWITCH,
        icon="twitch",
        ingests=(
            Ingest(label=_("nearest server"), url="rtmp://live.twitch.tv/app"),
            Ingest(label=_("nearest server, encrypted"), url="rtmps://live.twitch.tv:443/app"),
        ),
        key_help=_("Creator Dashboard → Settings → Stream → «Primary stream key»."),
        key_page="https://dashboard.twitch.tv/settings/stream",
        limits=(
            _("At most 6 Mbit/s; 1080p at 60 frames a second or less."),
            _("A broadcast ends after 48 hours."),
            _("Key frames 2 seconds apart."),
        ),
    ),
    Known(
        platform=Platform.FACEBOOK,
        icon="facebook",
        ingests=(Ingest(label=_("encrypted"), url="rtmps://live-api-s.facebook.com:443/rtmp"),),
        key_help=_("Live Producer → Streaming software → «Stream key». Switch «Persistent stream key» on."),
        key_page="https://www.facebook.com/live/producer",
        limits=(
            _("A broadcast ends after 8 hours."),
            _("At most 1080p, 60 frames a second and 9 Mbit/s; a key frame at least every 4 seconds."),
        ),
    ),
    Known(
        platform=Platform.KICK,
        icon="broadcast",
        ingests=(Ingest(label=_("encrypted"), url="rtmps://fa723fc1b171.global-contribute.live-video.net:443/app"),),
        key_help=_("Creator Dashboard → Settings → Stream → «Stream key»."),
        key_page="https://kick.com/dashboard/settings/stream",
        limits=(_("At most 1080p, 60 frames a second and 8 Mbit/s."), _("Key frames 2 seconds apart.")),
    ),
    Known(
        platform=Platform.TROVO,
        icon="broadcast",
        ingests=(Ingest(label=_("main server"), url="rtmp://livepush.trovo.live/live"),),
        key_help=_("Trovo Studio → Stream → «Stream key»."),
        key_page="https://studio.trovo.live/stream",
        limits=(_("At most 1080p, 60 frames a second and 9 Mbit/s."), _("Key frames 2 seconds apart.")),
    ),
    Known(
        platform=Platform.CUSTOM,
        key_help=_(
            "Ask whoever runs the server. Other software calls it «stream name», or puts it last in the address."
        ),
        limits=(_("An address that starts with rtmp:// or rtmps://, without the key."),),
    ),
)

_BY_PLATFORM: Final = {known.platform: known for known in KNOWN}


def known(platform: str) -> Known:
    """What is known of a platform by its stored value. Raises KeyError for one we never had."""
    return _BY_PLATFORM[Platform(platform)]
