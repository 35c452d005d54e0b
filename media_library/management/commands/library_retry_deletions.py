from typing import Any

from django.core.management.base import BaseCommand

from media_library import actions


class Command(BaseCommand):
    help = "Removes from the storage what could not be removed when it was deleted."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{actions.retry_deletions()} removed")
