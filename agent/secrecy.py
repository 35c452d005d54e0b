"""What of a stream must not be read anywhere but where it is used."""

from __future__ import annotations

from typing import Final

from agent.protocol import StreamConfig

SHORTEST_PART: Final = 8
"""Shorter parts of a live input's address are words rather than keys."""


def secrets_of(config: StreamConfig) -> tuple[str, ...]:
    """For `log.Redactor`."""
    secrets = [config.stream_key, *(push.key for push in config.push_urls)]
    secrets += [config.picture_url, *(item.download_url for item in config.video_files)]
    secrets += [piece for item in config.video_files for piece in _pieces(item.live_url)]
    secrets += [config.slate.download_url] if config.slate else []
    return tuple(secrets)


def _pieces(live_url: str) -> list[str]:
    """What of it may be a key when a program speaks of parts of it."""
    path, _, query = live_url.partition("?")
    parts = (query, path.rpartition("/")[2])
    return [live_url, *(part for part in parts if len(part) >= SHORTEST_PART)]
