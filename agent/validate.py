"""What an agent takes from a command: checked here again, whatever the control plane has checked."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from agent.protocol import PushUrl, StreamConfig, VideoFile

_NEVER: Final = re.compile(r"[\s\"'`{};\\<>|\x00-\x1f\x7f]")
_SAFE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}\Z")
LONGEST_URL: Final = 1024
BIGGEST_FILE: Final = 1 << 40
MOST_ITEMS: Final = 10_000
MOST_DESTINATIONS: Final = 50


def why_not(config: StreamConfig) -> str | None:
    """Why this run cannot be put on air at all, in plain words; None when it can."""
    if not _SAFE_ID.match(config.run_id):
        return "the run's id is not usable"
    if not config.video_files:
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
    return _bad_url(push.url)


def _bad_url(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its address is not a URL"
    if parts.scheme not in ("rtmp", "rtmps"):
        return "its address is not rtmp:// or rtmps://"
    if not parts.hostname or port == 0:
        return "its address names no server"
    return None


def bad_file(item: VideoFile) -> str | None:
    """Why this item cannot be fetched, in plain words; None when it can be tried."""
    if not 0 < item.size <= BIGGEST_FILE:
        return "its size is not known"
    if item.sha256 is not None and not _HEX.match(item.sha256):
        return "its checksum is not one"
    return None


def cache_key(item: VideoFile) -> str:
    """Names a file's bytes: equal for two items when one download serves both. Safe as a file name."""
    tail = f"-{item.sha256[:16].lower()}" if item.sha256 else ""
    return f"{item.file_id}-{item.size}{tail}"
