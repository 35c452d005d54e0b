"""Seals stream keys and SSH secrets under the first key of FIELD_KEYS; afterwards the older keys may be removed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kit.crypto import CannotOpenError
from ops import secrets


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = secrets.reseal()
        except CannotOpenError as error:
            raise CommandError(f"{error}. Put that key back into FIELD_KEYS and run this again.") from error
        self.stdout.write(f"Sealed again: {count}. Every secret is under the newest key now.")
