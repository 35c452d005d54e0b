from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from streams.hanging import clean_progress


class Command(BaseCommand):
    help = "Deletes progress rows of past starts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=7, help="age from which they go")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        self.stdout.write(f"{clean_progress(timedelta(days=days))} progress rows deleted")
