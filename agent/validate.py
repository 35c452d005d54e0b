"""What an agent takes from a command: checked here again, whatever the control plane has checked."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from agent.playout.target import is_public
from agent.protocol import VIAS, PushUrl, SlateFile, StreamConfig, VideoFile

_NEVER: Final = re.compile(r"[\s\"'`{};\\<>|\x00-\x1f\x7f]")
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}\Z")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~:/?&=%@+,\[\]-]*\Z")
"""What a line of nginx's configuration can hold as it is."""
LIVE_SCHEMES: Final = ("rtmp", "rtmps", "http", "https")
SLATE_KINDS: Final = ("picture", "clip")
LONGEST_URL: Final = 1024
BIGGEST_FILE: Final = 1 << 40
MOST_ITEMS: Final = 10_000
MOST_DESTINATIONS: Final = 50


def why_not(config: StreamConfig, *, on_air: bool = False) -> str | None:
    """Why this run cannot be put on air at all, in plain words; None when it can. On air a list may become empty."""
    if not _SAFE_ID.match(config.run_id):
        return "the run's id is not usable"
    if not config.video_files and not on_air:
        return "the playlist is empty"
    if len(config.video_files) > MOST_ITEMS:
        return f"the playlist has more than {MOST_ITEMS} items"
    if len(config.push_urls) > MOST_DESTINATIONS:
        return f"there are more than {MOST_DESTINATIONS} destinations"
    if config.order not in ("sequential", "random"):
        return "the order is neither sequential nor random"
    if len({item.item_id for item in config.video_files}) < len(config.video_files):
        return "two items of the playlist have the same id"
    if len({push.id for push in config.push_urls}) < len(config.push_urls):
        return "two destinations have the same id"
    if not any(push.enabled and bad_destination(push) is None for push in config.push_urls):
        return "no destination can be used"
    return None


def bad_destination(push: PushUrl) -> str | None:
    """Why this destination is not pushed to, in plain words; None when it is fine."""
    if len(push.url) > LONGEST_URL or len(push.key) > LONGEST_URL:
        return "its address or key is too long"
    if _NEVER.search(push.url) or not push.url.isascii():
        return "its address has characters that no RTMP address has"
    if _NEVER.search(push.key):
        return "its key has characters that no stream key has"
    if not push.key:
        return "it has no stream key"
    if push.via not in VIAS:
        return "there is no such way to push"
    return _bad_url(push.url, ("rtmp", "rtmps")) or (_bad_for_nginx(push) if push.via == "nginx" else None)


def _bad_for_nginx(push: PushUrl) -> str | None:
    if push.url.startswith("rtmps:"):
        return "nginx cannot push to rtmps://: choose another way to push"
    if not (_PLAIN.match(push.url) and _PLAIN.match(push.key)):
        return "its address or key has characters that nginx cannot push to: choose another way to push"
    return None


def _bad_url(url: str, schemes: tuple[str, ...]) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its address is not a URL"
    if parts.scheme not in schemes:
        known = [f"{scheme}://" for scheme in schemes]
        return f"its address is not {', '.join(known[:-1])} or {known[-1]}"
    if not parts.hostname or port == 0:
        return "its address names no server"
    return None


def bad_item(item: VideoFile, reach_private: bool) -> str | None:
    """Why this item never plays, in plain words; None when it can be tried."""
    return bad_live(item.live_url, reach_private) if item.live_url else bad_file(item)


def bad_live(url: str, reach_private: bool) -> str | None:
    """Why this live input is not read, in plain words. Names are looked up, and looked at, by who reads it."""
    if len(url) > LONGEST_URL:
        return "its address is too long"
    if _NEVER.search(url) or not url.isascii():
        return "its address has characters that no address has"
    bad = _bad_url(url, LIVE_SCHEMES)
    if bad is None and not reach_private and _is_private(urlsplit(url).hostname or ""):
        return "its address is in a private network"
    return bad


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.rstrip(".").rpartition(".")[2] == "localhost"
    return not is_public(host)


def bad_slate(slate: SlateFile) -> str | None:
    """Why the owner's slate cannot be fetched, in plain words; None when it can be tried."""
    if slate.kind not in SLATE_KINDS:
        return "it is neither a picture nor a clip"
    return _bad_size(slate)


def bad_file(item: VideoFile) -> str | None:
    """Why this item cannot be fetched, in plain words; None when it can be tried."""
    return _bad_size(item)


def _bad_size(file: VideoFile | SlateFile) -> str | None:
    if not 0 < file.size <= BIGGEST_FILE:
        return "its size is not known"
    if file.sha256 is not None and not _HEX.match(file.sha256):
        return "its checksum is not one"
    return None


def cache_key(item: VideoFile | SlateFile) -> str:
    """Names a file's bytes: equal for two items when one download serves both. Safe as a file name."""
    tail = f"-{item.sha256[:16].lower()}" if item.sha256 else ""
    return f"{item.file_id}-{item.size}{tail}"
