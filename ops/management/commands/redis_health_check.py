from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from ops import redis_health


class Command(BaseCommand):
    help = "Says what is not well with Redis. Fails when something is left that is not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fix", action="store_true", help="put right what can be put right")

    def handle(self, *args: Any, fix: bool, **options: Any) -> None:
        found = redis_health.look(timezone.now(), fix=fix)
        for each in found:
            self.stdout.write(f"{'fixed: ' if each.is_fixed else ''}{each.words}")
        left = [each for each in found if not each.is_fixed]
        if left:
            raise CommandError(f"Redis is not well: {len(left)} findings")
        if not found:
            self.stdout.write("well")
