from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from streams.hanging import force_stop_hanging


class Command(BaseCommand):
    help = "Resolves streams that have been starting or stopping without a sign of life for too long."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=int, default=300, help="seconds without a sign of life")

    def handle(self, *args: Any, timeout: int, **options: Any) -> None:
        count = force_stop_hanging(timedelta(seconds=timeout))
        self.stdout.write(f"{count} streams resolved")
