"""Waits until enough VPSes have been heard of: for scripts that start streams right after starting agents."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.models import Vps


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--vpses", type=int, default=1, help="how many must be reachable")
        parser.add_argument("--limit", type=float, default=30.0, help="seconds to wait at most")

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + options["limit"]
        while Vps.objects.reachable(timezone.now()).count() < options["vpses"]:
            if time.monotonic() > deadline:
                raise CommandError("not enough VPSes have been heard of: see the agents' and the listener's logs")
            time.sleep(0.1)
