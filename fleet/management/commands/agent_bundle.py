"""Makes the agent's bundle, the file that is put on a VPS; prints where it is and what its agent calls itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.provision import bundle


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        folder = settings.VAR_DIR / "bundles"
        parser.add_argument("--folder", type=Path, default=folder, help="where to; default: bundles in VAR_DIR")
        parser.add_argument("--lock", action="store_true", help="for developers: pin the dependencies installed now")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["lock"]:
            bundle.write_lock()
        try:
            made = bundle.current()
        except bundle.BundleError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made.kept_in(options['folder'])} {made.version}")
