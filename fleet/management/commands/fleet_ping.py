from __future__ import annotations

import time
from typing import Any

import redis
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from agent.protocol import Pong, ProtocolError, decode_up, vps_channel
from fleet.models import Vps
from fleet.pinging import ping


class Command(BaseCommand):
    help = "Asks an agent whether it is there, and says how long the answer took."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("vps", help="name of the VPS")
        parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for the answer")

    def handle(self, *args: Any, vps: str, timeout: float, **options: Any) -> None:
        row = Vps.objects.filter(name=vps).first()
        if row is None:
            raise CommandError(f"no VPS named «{vps}»")
        pong = _ask(row.pk, timeout)
        if pong is None:
            raise CommandError(f"«{vps}» did not answer within {timeout:g} s")
        took_ms = (timezone.now().timestamp() - (pong.ping_timestamp or 0)) * 1000
        self.stdout.write(f"«{vps}» answered in {took_ms:.1f} ms and holds {pong.active_streams} streams")


def _ask(vps_id: int, timeout_s: float) -> Pong | None:
    with redis.Redis.from_url(settings.AGENT_REDIS_URL) as client, client.pubsub() as pubsub:
        pubsub.subscribe(vps_channel(vps_id))
        pubsub.get_message(timeout=timeout_s)
        asked = timezone.now()
        if not ping(vps_id, asked):
            return None
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            pong = _pong(pubsub.get_message(timeout=left))
            if pong is not None and pong.ping_timestamp == asked.timestamp():
                return pong
    return None


def _pong(raw: dict[str, Any] | None) -> Pong | None:
    if raw is None or raw["type"] != "message":
        return None
    try:
        message = decode_up(raw["channel"].decode(), raw["data"])
    except ProtocolError:
        return None
    return message if isinstance(message, Pong) else None
