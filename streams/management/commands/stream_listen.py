from __future__ import annotations

import argparse
import asyncio
import gc
import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from kit.ending import end_within
from streams.listener import Listener


class Command(BaseCommand):
    help = "Takes the agents' messages, keeps the database true and the browsers told. Several may run at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=0, help="end after so many seconds; 0: never")
        parser.add_argument(
            "--reconnect",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="come back for ever when Redis is away; without, end with an error",
        )

    def handle(self, *args: Any, timeout: float, reconnect: bool, **options: Any) -> None:
        _collect_garbage_seldom()
        asyncio.run(listen(timeout, reconnect))


def _collect_garbage_seldom() -> None:
    """A report is dozens of containers that go by themselves: to look for cycles among them all, ten times a batch, was
    a quarter of the listener's work."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def listen(timeout_s: float, reconnect: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        stop.set()
        end_within()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    if timeout_s > 0:
        loop.call_later(timeout_s, stop.set)
    await Listener(settings.AGENT_REDIS_URL, reconnect=reconnect).run(stop)
