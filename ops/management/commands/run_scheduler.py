from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from ops.scheduler import run_until_told


class Command(BaseCommand):
    help = "Runs the periodic jobs. Several may run at once: each job is run by one of them."

    def handle(self, *args: Any, **options: Any) -> None:
        run_until_told()
