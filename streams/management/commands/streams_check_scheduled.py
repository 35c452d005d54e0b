from typing import Any

from django.core.management.base import BaseCommand

from streams.scheduling import check


class Command(BaseCommand):
    help = "Starts and stops what schedules say is due. The scheduler does it every minute; once more does no harm."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{check()} streams started, stopped or told")
