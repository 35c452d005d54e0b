from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from media_library import actions


class Command(BaseCommand):
    help = "Gives up uploads nobody continued for UPLOAD_EXPIRY, and returns their room to their owners."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{actions.expire_uploads(timezone.now())} expired")
