"""Puts the demo channel on air as soon as a VPS has been heard of."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ops import demo
from streams.models import Stream


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream_id", type=int)
        parser.add_argument("--limit", type=float, default=30.0, help="seconds to wait for a VPS")

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + options["limit"]
        while not demo.start(Stream.objects.get(pk=options["stream_id"])):
            if time.monotonic() > deadline:
                raise CommandError("no VPS has been heard of: see the agent's log")
            time.sleep(0.1)
