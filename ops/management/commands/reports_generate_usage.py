from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from ops import usage


class Command(BaseCommand):
    help = "Makes the weekly usage reports that are missing, of the last whole weeks. Once more does no harm."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{usage.generate(timezone.now())} reports made")
