"""What is said over Redis about one stream, as it is said, without keys (FLT-8).

Messages are decoded, and what their classes keep out of a repr is left out here too: secrets are known by type, not by
what they look like. What cannot be decoded is told by its size.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import redis
from django.conf import settings

from agent.protocol import (
    UP_PATTERNS,
    Heartbeat,
    Message,
    ProtocolError,
    StartStream,
    UpdateStream,
    decode_command,
    decode_up,
    vps_of_channel,
)
from kit.logs import MASK, mask

DOWN: Final = "vps-commands:*"
LOOK_S: Final = 0.5
_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Said:
    """`is_down`: from us to an agent. `body`: the message, with secrets masked."""

    at: float
    vps_id: int
    is_down: bool
    kind: str
    body: dict[str, Any]

    def words(self, vps_name: str) -> str:
        moment = datetime.fromtimestamp(self.at, UTC)
        arrow = f"→ {vps_name}" if self.is_down else f"← {vps_name}"
        return f"{moment:%H:%M:%S.%f}"[:-3] + f"  {arrow}  {self.kind}  {_facts(self.body)}".rstrip()


def watch(stream_id: int, seconds: float | None) -> Iterator[Said]:
    """For so long, or for ever. Raises `redis.RedisError` when Redis is gone."""
    until = None if seconds is None else time.monotonic() + seconds
    limits = {"socket_connect_timeout": _TIMEOUT_S, "health_check_interval": 10}
    with redis.Redis.from_url(settings.AGENT_REDIS_URL, **limits) as client, client.pubsub() as pubsub:
        pubsub.psubscribe(DOWN, *UP_PATTERNS)
        while until is None or time.monotonic() < until:
            left = LOOK_S if until is None else min(LOOK_S, max(0.0, until - time.monotonic()))
            raw: Any = pubsub.get_message(timeout=left)
            said = _heard(raw, stream_id) if raw and raw["type"] == "pmessage" else None
            if said is not None:
                yield said


def _heard(raw: dict[str, Any], stream_id: int) -> Said | None:
    channel = raw["channel"].decode(errors="replace")
    is_down = channel.startswith("vps-commands:")
    try:
        vps_id = vps_of_channel(channel)
        message = decode_command(raw["data"]) if is_down else decode_up(channel, raw["data"])
    except ProtocolError as error:
        # Nobody knows whose it is; it may be the very thing one looks for.
        body = {"bytes": len(raw["data"]), "why": str(error)}
        return Said(time.time(), _vps_or_none(channel), is_down, "UNREADABLE", body)
    about = part_about(message, stream_id)
    return None if about is None else Said(time.time(), vps_id, is_down, kind_of(message), masked(about))


def _vps_or_none(channel: str) -> int:
    try:
        return vps_of_channel(channel)
    except ProtocolError:
        return 0


def kind_of(message: Message) -> str:
    command = getattr(message, "command", None)
    return str(command or type(message).__name__)


def part_about(message: Message, stream_id: int) -> Any:
    """The message, or of a heartbeat the report of the stream's run; None when it is about others."""
    if isinstance(message, Heartbeat):
        return next((run for run in message.runs if run.stream_id == stream_id), None)
    if isinstance(message, StartStream | UpdateStream):
        return message if message.config.id == stream_id else None
    return message if getattr(message, "stream_id", None) == stream_id else None


def masked(part: Any) -> Any:
    """As JSON. Fields that are kept out of a repr are masked where they hold anything; text is looked through."""
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {field.name: _field(field, getattr(part, field.name)) for field in dataclasses.fields(part)}
    if isinstance(part, tuple | list):
        return [masked(each) for each in part]
    return mask(part) if isinstance(part, str) else part


def _field(field: dataclasses.Field[Any], value: Any) -> Any:
    return masked(value) if field.repr else MASK if value else value


_TOLD: Final = ("status", "stage", "progress", "phase", "order", "ok", "message", "item_id", "slate", "run_id", "epoch")
"""What a line says of a message, in this order, where it is there."""


def _facts(body: dict[str, Any]) -> str:
    config = body.get("config")
    if isinstance(config, dict):
        counts = f"files={len(config['video_files'])} destinations={len(config['push_urls'])}"
        return f"run={config['run_id']} epoch={config['epoch']} {counts}"
    shown = [f"{name}={body[name]}" for name in _TOLD if body.get(name) not in (None, "")]
    places = [f"{each['id']}:{each['state']}" for each in body.get("destinations", ())]
    return " ".join([*shown, *([f"destinations={','.join(places)}"] if places else [])]) or _rest(body)


def _rest(body: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in body.items())
